// Buttons that copy an address or a hash; they are hidden where no script runs.

const copied = async (button) => {
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("done");
  const said = button.getAttribute("aria-label");
  button.setAttribute("aria-label", "Copied");
  setTimeout(() => {
    button.classList.remove("done");
    button.setAttribute("aria-label", said);
  }, 1200);
};

export const copying = (root) => {
  if (!navigator.clipboard) return; // only where the page comes from this machine, or by https
  for (const button of root.querySelectorAll(".copy[hidden]")) {
    button.hidden = false;
    button.addEventListener("click", () => copied(button));
  }
};
