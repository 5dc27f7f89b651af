// What changes on the network changes on the page: it is fetched again, and elements that differ are replaced.

const QUIET = 400; // ms between two fetches at least
const CALM = 60_000; // ms without news after which it is fetched all the same

const before = new Map(); // id → what the server sent

const parts = (root) => [...root.querySelectorAll("[data-live][id]")];
const names = (root) => parts(root).map((part) => part.id).join(" ");

// What the server sent, but for how long ago things were.
const sent = (part) => part.outerHTML.replace(/(<time [^>]*>)[^<]*/g, "$1");

const selected = (element) => {
  const selection = document.getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(element, true);
};

// Where the focus is, by what stays the same when an element is made anew.
const place = (element) => {
  const active = document.activeElement;
  if (!active || active === document.body || !element.contains(active)) return null;
  const alike = (other) => other.tagName === active.tagName && other.getAttribute("href") === active.getAttribute("href") && other.dataset.copy === active.dataset.copy && other.getAttribute("class") === active.getAttribute("class");
  const many = [...element.querySelectorAll(active.tagName)].filter(alike);
  return { alike, tag: active.tagName, at: many.indexOf(active) };
};

const focus = (element, kept) => {
  if (!kept) return;
  const many = [...element.querySelectorAll(kept.tag)].filter(kept.alike);
  many[Math.min(kept.at, many.length - 1)]?.focus({ preventScroll: true });
};

const opened = (element) => [...element.querySelectorAll("details")].map((each) => each.open);
const scrolled = (element) => [...element.querySelectorAll(".box, .scroll")].map((each) => each.scrollTop);

const replaced = (old, fresh, ready) => {
  const [kept, open, at] = [place(old), opened(old), scrolled(old)];
  const made = document.importNode(fresh, true);
  old.replaceWith(made);
  made.querySelectorAll("details").forEach((each, index) => { each.open = open[index] ?? false; });
  made.querySelectorAll(".box, .scroll").forEach((each, index) => { each.scrollTop = at[index] ?? 0; });
  ready(made);
  focus(made, kept);
};

// What is read stays where it is in the window, whatever grows above it: the part with the focus, else the first in sight.
const held = () => {
  const sight = (part) => { const box = part.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight; };
  const part = document.activeElement?.closest("[data-live][id]") ?? parts(document).find(sight);
  return part && sight(part) && scrollY > 0 ? { id: part.id, top: part.getBoundingClientRect().top } : null;
};

const restored = (place) => {
  const part = place && document.getElementById(place.id);
  if (part) scrollBy({ top: part.getBoundingClientRect().top - place.top, behavior: "instant" });
};

const taken = (html, ready) => {
  const there = new DOMParser().parseFromString(html, "text/html");
  const other = names(there) !== names(document); // the first task came, or the last one of a filter went
  const differing = parts(there).filter((fresh) => before.get(fresh.id) !== sent(fresh));
  const main = there.getElementById("main");
  const changed = other ? [main, ...differing.filter((fresh) => !main.contains(fresh))] : differing;
  let all = true;
  const reading = held();
  for (const fresh of changed) {
    const old = document.getElementById(fresh.id);
    if (selected(old)) { all = false; continue; } // somebody copies something: later
    for (const part of [fresh, ...parts(fresh)]) before.set(part.id, sent(part));
    replaced(old, fresh, ready);
  }
  restored(reading);
  return all;
};

// The page as it is now; nothing while the server is away, the stream of events tells when it is back.
const sentNow = async () => {
  try {
    const answer = await fetch(location.href, { cache: "no-cache", headers: { Accept: "text/html" } });
    return answer.ok ? await answer.text() : "";
  } catch {
    return "";
  }
};

// To be called before anything changes what the server sent.
export const live = (ready) => {
  for (const part of parts(document)) before.set(part.id, sent(part));
  let [busy, again, last] = [false, false, 0];
  const look = async () => {
    if (document.hidden || busy) { again = true; return; }
    busy = true;
    again = false;
    const wait = last + QUIET - Date.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    last = Date.now();
    const html = await sentNow();
    if (html && !taken(html, ready)) again = true;
    busy = false;
    if (again && !document.hidden && document.getSelection().isCollapsed) look();
  };
  const events = new EventSource("/api/live");
  events.addEventListener("change", look);
  events.addEventListener("reset", look);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  document.addEventListener("selectionchange", () => { if (again && document.getSelection().isCollapsed) look(); });
  setInterval(look, CALM);
};
