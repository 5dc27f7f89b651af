// What a chart's columns say, for the pointer and for the arrow keys.

const shown = (figure, slot) => {
  const tip = figure.querySelector(".tip");
  figure.querySelector(".slot.at")?.classList.remove("at");
  tip.hidden = !slot;
  if (!slot) return;
  slot.classList.add("at");
  tip.textContent = slot.dataset.says;
  const [column, frame] = [slot.getBoundingClientRect(), figure.getBoundingClientRect()];
  const middle = column.left + column.width / 2 - frame.left - tip.offsetWidth / 2;
  tip.style.left = `${Math.max(4, Math.min(middle, frame.width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${column.top - frame.top - tip.offsetHeight + 8}px`;
};

const STEPS = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };

const chart = (figure) => {
  const plot = figure.querySelector(".plot");
  const slots = [...plot.querySelectorAll(".slot")];
  if (!slots.length) return;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  figure.append(tip);
  for (const slot of slots) {
    const title = slot.querySelector("title");
    slot.dataset.says = title.textContent;
    title.remove(); // else the browser shows it as well
    slot.addEventListener("pointerenter", () => shown(figure, slot));
  }
  plot.addEventListener("pointerleave", () => shown(figure, null));
  plot.setAttribute("tabindex", "0");
  plot.addEventListener("blur", () => shown(figure, null));
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return shown(figure, null);
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const now = slots.findIndex((slot) => slot.classList.contains("at"));
    const from = now < 0 && step < 0 ? slots.length : now;
    shown(figure, slots[Math.max(0, Math.min(slots.length - 1, from + step))]);
  });
};

export const charts = (root) => {
  const found = root.matches?.(".chart") ? [root] : root.querySelectorAll(".chart");
  for (const figure of found) if (!figure.querySelector(".tip")) chart(figure);
};
