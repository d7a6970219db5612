// One cell of many is in the way of the Tab key; from it the arrow keys lead to the others.

/** Let `container`'s cells, marked data-index, be chosen by pointer and by keys: `pick(index, focus)`. */
function rove(container, { columns, count, current, pick }) {
  const index = (event) => event.target.closest("[data-index]")?.dataset.index;
  for (const [kind, focus] of [["pointerover", false], ["click", true], ["focusin", false]]) {
    container.addEventListener(kind, (event) => {
      const i = index(event);
      if (i !== undefined && Number(i) !== current()) pick(Number(i), focus);
    });
  }
  container.addEventListener("keydown", (event) => {
    if (index(event) === undefined) return;
    const row = columns();
    const at = current();
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row, ArrowDown: at + row, Home: 0, End: count() - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    if (next >= 0 && next < count()) pick(next, true);
  });
}

/** Mark the chosen cell and put it, alone, into the way of the Tab key. */
function markCell(container, chosen, focus) {
  for (const cell of container.querySelectorAll("[data-index]")) {
    const on = Number(cell.dataset.index) === chosen;
    cell.tabIndex = on ? 0 : -1;
    cell.classList.toggle("cw-chosen", on);
    cell.setAttribute("aria-selected", on);
    if (on && focus) cell.focus();
  }
}
