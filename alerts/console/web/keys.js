// One keyboard for all pages: a control carries data-key, and its key clicks it. A dialog takes the
// keys of the page below it away.
window.tw = window.tw || {};
window.tw.typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.isComposing ||
  /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
window.tw.dialog = () => {
  // one that is on its way out takes no keys any more
  const open = [...document.querySelectorAll(".q-dialog__inner, .tw-light")].filter(
    (el) => el.getClientRects().length && !el.className.includes("-leave") && !el.querySelector("[class*=-leave]"),
  );
  return open.length ? open[open.length - 1] : null;
};
document.addEventListener("keydown", (event) => {
  if (window.tw.typing(event) || event.repeat) return;
  const root = window.tw.dialog() || document;
  const found = [...root.querySelectorAll(`[data-key="${CSS.escape(event.key)}"]`)].find(
    (el) => el.getClientRects().length && !el.disabled && el.getAttribute("aria-disabled") !== "true",
  );
  if (!found) return;
  event.preventDefault();
  found.click();
});
window.tw.next = (base, current) => {
  const order = JSON.parse(sessionStorage.getItem("tw-order") || "[]");
  const at = order.indexOf(current);
  const id = order[at + 1] ?? null;
  if (id) sessionStorage.setItem("tw-selected", id);
  window.location.href = id ? `${base}/incidents/${id}` : `${base}/`;
};
window.tw.counts = (counts) => {
  for (const el of document.querySelectorAll("[data-count]")) {
    const count = counts[el.dataset.count] ?? 0;
    el.textContent = count;
    // kinds of which there are none only take room
    const chip = el.parentNode;
    chip.classList.toggle("tw-none", !count && el.dataset.count !== "" && chip.getAttribute("aria-pressed") !== "true");
  }
};
