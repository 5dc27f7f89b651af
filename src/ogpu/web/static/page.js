// What a script adds to a page that works without one.
import { copying } from "./copy.js";
import { charts } from "./chart.js";
import { live } from "./live.js";
import { ticking } from "./times.js";

const ready = (root) => {
  copying(root);
  charts(root);
};

// On a phone the row of views is wider than the screen: the current one is moved into it.
const here = document.querySelector(".views [aria-current]");
if (here) {
  const row = here.parentElement;
  row.scrollLeft += Math.max(0, here.getBoundingClientRect().right - row.getBoundingClientRect().right);
}

live(ready);
ready(document);
ticking();
document.documentElement.dataset.ready = "yes";
