// Where a token of a Vision Transformer looks: choose image, block, head and the patch that asks.

function render({ model, el }) {
  const id = newId("patches");
  const [depth, heads, grid] = ["depth", "heads", "grid"].map((t) => model.get(t));
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Click a patch, or focus one and press the arrow keys, to let it ask; tick the box to let the cls token ask.</p>
    <div class="cw-controls">
      <label for="${id}-i">Image <select id="${id}-i" class="cw-image-choice"></select></label>
      <label for="${id}-l">Block <input id="${id}-l" class="cw-layer" type="range" min="1" max="${depth}" step="1"><output></output></label>
      <label for="${id}-h">Head <input id="${id}-h" class="cw-head" type="range" min="1" max="${heads}" step="1"><output></output></label>
      <label><input type="checkbox" class="cw-cls"> cls asks</label>
    </div>
    <div class="cw-row">
      <figure class="cw-cell"><figcaption>image, asking patch outlined</figcaption>
        <svg class="cw-image" viewBox="0 0 160 160" role="img"></svg></figure>
      <figure class="cw-cell"><figcaption>attention to each patch</figcaption>
        <table class="cw-patches" role="grid" aria-label="Attention to each patch"></table></figure>
    </div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  options(find(".cw-image-choice"), model.get("names"));
  const cells = patchTable(find(".cw-patches"), grid);
  cells.forEach((td) => td.setAttribute("role", "gridcell"));
  const ask = (query) => { model.set("query", query); model.save_changes(); };
  const place = (event) => event.target.closest("[data-patch]");
  find(".cw-patches").addEventListener("click", (event) => { const td = place(event); if (td) { ask(1 + Number(td.dataset.patch)); td.focus(); } });
  find(".cw-patches").addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const at = Number(place(event).dataset.patch);
    const [i, j] = [Math.floor(at / grid) + way[0], (at % grid) + way[1]].map((v) => clamp(v, 0, grid - 1));
    ask(1 + i * grid + j);
    cells[i * grid + j].focus();
  });
  find(".cw-cls").addEventListener("change", (event) => ask(event.target.checked ? 0 : 1));
  const show = [
    bind(model, "image", find(".cw-image-choice"), { event: "change", read: Number }),
    bind(model, "layer", find(".cw-layer"), { read: Number }),
    bind(model, "head", find(".cw-head"), { read: Number }),
  ];
  function draw() {
    const [image, layer, head, query] = ["image", "layer", "head", "query"].map((t) => model.get(t));
    for (const f of show) f();
    const outputs = el.querySelectorAll("output");
    outputs[0].textContent = layer;
    outputs[1].textContent = head;
    find(".cw-cls").checked = query === 0;
    const row = rowsOf(model.get("maps")[image][(layer - 1) * heads + head - 1])[query];
    const seen = row.slice(1);
    fillPatches(cells, seen);
    const at = Math.max(query - 1, 0);
    cells.forEach((td, i) => { td.tabIndex = i === at ? 0 : -1; td.classList.toggle("cw-chosen", i === query - 1); });
    drawImage(find("svg"), model.get("images")[image], cells.map((_, i) => i === query - 1));
    find("svg").setAttribute("aria-label", `The image: ${model.get("names")[image]}`);
    const best = seen.indexOf(Math.max(...seen));
    const name = query ? `The patch in row ${Math.floor(at / grid) + 1}, column ${(at % grid) + 1}` : "The cls token";
    find(".cw-status").textContent = `${name} looks most at row ${Math.floor(best / grid) + 1}, column ${(best % grid) + 1}: `
      + `weight ${fixed(seen[best], 3)}; to the cls token it gives ${fixed(row[0], 3)}.`;
  }
  return redraw(model, ["image", "layer", "head", "query"], draw);
}
export default { render };
