// Times that say how long ago they were go on saying so; show.py says the same.

const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [60 * 86400, 86400, "d"], [730 * 86400, 30 * 86400, "months"], [Infinity, 365 * 86400, "years"]];

export const duration = (seconds) => {
  const [, unit, name] = STEPS.find(([limit]) => seconds < limit);
  const count = seconds / unit;
  const whole = name === "s" || name === "months" || name === "years" || count >= 10 || Math.round((count % 1) * 10) % 10 === 0;
  return `${whole ? Math.round(count).toLocaleString("en") : count.toFixed(1)} ${name}`;
};

export const ago = (unix, now) => {
  const seconds = Math.trunc(now - unix);
  if (seconds > -2 && seconds < 2) return "just now";
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
};

const tick = () => {
  const now = Date.now() / 1000;
  for (const time of document.querySelectorAll("time[data-t]")) {
    const said = ago(Number(time.dataset.t), now);
    if (time.textContent !== said) time.textContent = said;
  }
};

export const ticking = () => {
  tick();
  setInterval(tick, 1000);
};
