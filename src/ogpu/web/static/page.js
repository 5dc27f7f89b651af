// What a script adds to a page that works without one.
import { copying } from "./copy.js";
import { charts } from "./chart.js";
import { live } from "./live.js";
import { ticking } from "./times.js";

const ready = (root) => {
  copying(root);
  charts(root);
};

live(ready);
ready(document);
ticking();
document.documentElement.dataset.ready = "yes";
