// Attention rollout, block by block, and the mask of the patches that hold a share of the cls token's mass.

/** Mean over heads, plus the residual stream, rows scaled to one, multiplied from the left: `[n n]`. */
export function rollout(blocks) {
  const n = blocks[0][0].length;
  let total = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => Number(i === j)));
  for (const heads of blocks) {
    const step = Array.from({ length: n }, (_, i) => {
      const row = Array.from({ length: n }, (_, j) => heads.reduce((sum, h) => sum + h[i][j], 0) / heads.length + Number(i === j));
      const sum = row.reduce((a, b) => a + b, 0);
      return row.map((x) => x / sum);
    });
    total = step.map((row) => total[0].map((_, j) => row.reduce((sum, x, k) => sum + x * total[k][j], 0)));
  }
  return total;
}

/** The fewest patches that together hold the share `keep` of the mass; equal ones in order. */
export function maskOf(masses, keep) {
  const total = masses.reduce((a, b) => a + b, 0);
  const order = masses.map((m, i) => [m, i]).sort(([a, i], [b, j]) => b - a || i - j);
  const mask = masses.map(() => false);
  let reached = 0;
  for (const [mass, i] of order) {
    if (reached >= total * keep * (1 - 1e-6)) break;
    mask[i] = true;
    reached += mass;
  }
  return mask;
}

function render({ model, el }) {
  const id = newId("rollout");
  const [depth, heads, grid] = ["depth", "heads", "grid"].map((t) => model.get(t));
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <div class="cw-controls">
      <label for="${id}-i">Image <select id="${id}-i" class="cw-image-choice"></select></label>
      <label for="${id}-l">Blocks <input id="${id}-l" class="cw-layer" type="range" min="1" max="${depth}" step="1"><output></output></label>
      <label for="${id}-k">Share to keep <input id="${id}-k" class="cw-keep" type="range" min="0.05" max="1" step="0.05"><output></output></label>
    </div>
    <div class="cw-row">
      <figure class="cw-cell"><figcaption>image, selected patches outlined</figcaption>
        <svg class="cw-image" viewBox="0 0 160 160" role="img"></svg></figure>
      <figure class="cw-cell"><figcaption>what the cls token has of each patch</figcaption>
        <table class="cw-patches" aria-label="Rollout from the cls token to each patch"></table></figure>
    </div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  options(find(".cw-image-choice"), model.get("names"));
  const cells = patchTable(find(".cw-patches"), grid);
  const show = [
    bind(model, "image", find(".cw-image-choice"), { event: "change", read: Number }),
    bind(model, "layer", find(".cw-layer"), { read: Number }),
    bind(model, "keep", find(".cw-keep"), { read: Number }),
  ];
  function draw() {
    const [image, layer, keep] = ["image", "layer", "keep"].map((t) => model.get(t));
    for (const f of show) f();
    const outputs = el.querySelectorAll("output");
    outputs[0].textContent = layer;
    outputs[1].textContent = fixed(keep, 2);
    const maps = model.get("maps")[image].map(rowsOf);
    const blocks = Array.from({ length: layer }, (_, l) => maps.slice(l * heads, (l + 1) * heads));
    const [own, ...seen] = rollout(blocks)[0];
    const mask = maskOf(seen, keep);
    fillPatches(cells, seen);
    cells.forEach((td, i) => td.classList.toggle("cw-chosen", mask[i]));
    drawImage(find("svg"), model.get("images")[image], mask);
    find("svg").setAttribute("aria-label", `The image: ${model.get("names")[image]}`);
    const number = mask.filter(Boolean).length;
    find(".cw-status").textContent = `Through ${layer} block${layer > 1 ? "s" : ""}, ${number} of ${mask.length} patches hold `
      + `${fixed(keep, 2)} of the mass on patches; the cls token keeps ${fixed(own, 3)} of itself.`;
  }
  return redraw(model, ["image", "layer", "keep"], draw);
}
export default { render };
