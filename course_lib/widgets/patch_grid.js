// Shared by the widgets of the ViT chapter: a small grey image, and a grid of its patches that holds numbers.

/** Attention among n tokens, stored as whole thousandths row by row, as rows that sum to one. */
export function rowsOf(flat) {
  const n = Math.round(Math.sqrt(flat.length));
  return Array.from({ length: n }, (_, i) => {
    const row = flat.slice(i * n, (i + 1) * n);
    const total = row.reduce((a, b) => a + b, 0);
    return row.map((x) => x / total);
  });
}

function drawImage(svg, pixels, outlined) {
  const side = Math.sqrt(pixels.length);
  const patches = outlined.length ** 0.5;
  const step = 160 / patches;
  svg.replaceChildren();
  pixels.forEach((value, i) => {
    const light = Math.round(255 * value);
    svgNode("rect", { x: (i % side) * 160 / side, y: Math.floor(i / side) * 160 / side, width: 160 / side + 0.3,
      height: 160 / side + 0.3, fill: `rgb(${light} ${light} ${light})` }, svg);
  });
  outlined.forEach((on, i) => {
    if (on) svgNode("rect", { x: (i % patches) * step + 2, y: Math.floor(i / patches) * step + 2, width: step - 4,
      height: step - 4, fill: "none", stroke: "#ff8a4c", "stroke-width": 3 }, svg);
  });
}

function patchTable(table, grid) {
  const cells = [];
  for (let i = 0; i < grid; i += 1) {
    const row = table.insertRow();
    for (let j = 0; j < grid; j += 1) {
      const td = row.insertCell();
      td.dataset.patch = i * grid + j;
      cells.push(td);
    }
  }
  return cells;
}

function fillPatches(cells, weights) {
  const top = Math.max(...weights, 1e-9);
  cells.forEach((td, i) => {
    td.style.setProperty("--cw-w", weights[i] / top);
    td.textContent = fixed(weights[i], 3);
  });
}

function options(select, names) {
  names.forEach((name, i) => select.add(new Option(name, i)));
}
