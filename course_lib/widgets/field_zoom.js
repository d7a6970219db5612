// A small SIREN with its weights: the same function, asked at ever closer points.

/** The field's value at a point (row, column); a layer whose omega is 0 has no sine. */
export function fieldAt(layers, point) {
  return layers.reduce((x, { omega, weight, bias }) => weight.map((row, j) => {
    let z = bias[j];
    for (let i = 0; i < row.length; i += 1) z += row[i] * x[i];
    return omega ? Math.sin(omega * z) : z;
  }), point)[0];
}

/** The point of a grid of `side` points from -1 to 1 that is nearest to a coordinate. */
export function snap(coordinate, side) {
  const step = 2 / (side - 1);
  return clamp(Math.round((coordinate + 1) / step) * step - 1, -1, 1);
}

/** Points shown along one axis: `count` middles of cells of a window of 2 / zoom around the centre, inside [-1, 1]. */
export function shownAt(centre, zoom, count) {
  const half = 1 / zoom;
  const middle = clamp(centre, -1 + half, 1 - half);
  return Array.from({ length: count }, (_, i) => middle - half + (2 * half * (i + 0.5)) / count);
}

function render({ model, el }) {
  const id = newId("zoom");
  const count = 72;
  el.classList.add("cw");
  keepKeys(el);
  const slider = (name, label, low, high, step) =>
    `<label for="${id}-${name}">${label} <input id="${id}-${name}" class="cw-at-${name}" type="range" min="${low}" max="${high}" step="${step}"> <output for="${id}-${name}"></output></label>`;
  el.innerHTML = `
    <p class="cw-help">Go closer. On the left the pixels run out; on the right the field is asked at ${count} × ${count} new points.</p>
    <div class="cw-controls">${slider("zoom", "Zoom", 1, 32, 0.5)}${slider("row", "Row", -1, 1, 0.02)}${slider("column", "Column", -1, 1, 0.02)}</div>
    <div class="cw-row">
      <figure class="cw-cell"><figcaption>the pixels it was fit to</figcaption><canvas width="${count}" height="${count}" role="img"></canvas></figure>
      <figure class="cw-cell"><figcaption>the field</figcaption><canvas width="${count}" height="${count}" role="img"></canvas></figure>
    </div><p class="cw-status" role="status"></p>`;
  const traits = ["zoom", "row", "column"];
  const show = traits.map((t) => bind(model, t, el.querySelector(`.cw-at-${t}`), { read: Number }));
  const canvases = [...el.querySelectorAll("canvas")];

  function paint(canvas, rows, columns) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(count, count);
    const layers = model.get("layers");
    const known = new Map(); // many cells share one pixel
    rows.forEach((r, i) => columns.forEach((c, j) => {
      const key = `${r},${c}`;
      if (!known.has(key)) known.set(key, clamp(Math.round((fieldAt(layers, [r, c]) + 1) * 127.5), 0, 255));
      const v = known.get(key);
      image.data.set([v, v, v, 255], 4 * (i * count + j));
    }));
    context.putImageData(image, 0, 0);
  }

  function draw() {
    const [zoom, row, column, side] = [...traits, "side"].map((t) => model.get(t));
    const [rows, columns] = [shownAt(row, zoom, count), shownAt(column, zoom, count)];
    paint(canvases[0], rows.map((r) => snap(r, side)), columns.map((c) => snap(c, side)));
    paint(canvases[1], rows, columns);
    for (const f of show) f();
    el.querySelectorAll("output").forEach((o, i) => { o.textContent = fixed(model.get(traits[i]), i ? 2 : 1); });
    const layers = model.get("layers");
    const text = `Zoom ${fixed(zoom, 1)} at row ${fixed(row, 2)}, column ${fixed(column, 2)}: the nearest pixel has the value `
      + `${fixed(fieldAt(layers, [snap(row, side), snap(column, side)]), 3)}, the field there ${fixed(fieldAt(layers, [row, column]), 3)}.`;
    el.querySelector(".cw-status").textContent = text;
    canvases.forEach((canvas, i) => canvas.setAttribute("aria-label", `${i ? "The field" : "The pixels"}. ${text}`));
  }
  return redraw(model, traits, draw);
}
export default { render };
