// A picture cut into patches: patch, token, and the order of a token's numbers.

/** Bytes of an image (c h w) -> one list of numbers in [0, 1] for each patch, patches row by row, in them (c p1 p2). */
export function patchify(bytes, [channels, height, width], patch) {
  const [rows, columns] = [height / patch, width / patch];
  return Array.from({ length: rows * columns }, (_, token) => {
    const [top, left] = [Math.floor(token / columns) * patch, (token % columns) * patch];
    return Array.from({ length: channels * patch * patch }, (_, entry) => {
      const { channel, row, column } = placeOf(entry, patch);
      return bytes[(channel * height + top + row) * width + left + column] / 255;
    });
  });
}

/** Where in its patch a token's number comes from. */
export function placeOf(entry, patch) {
  const within = entry % (patch * patch);
  return { channel: Math.floor(entry / (patch * patch)), row: Math.floor(within / patch), column: within % patch };
}

const NAMES = ["red", "green", "blue"];

function render({ model, el }) {
  const id = newId("patch");
  const [channels, height, width] = model.get("shape");
  const bytes = Uint8Array.from(atob(model.get("pixels")), (c) => c.charCodeAt(0));
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Point at a patch or at a token, or enter either with Tab and move with the arrow keys. The
      slider walks through the numbers of the chosen token.</p>
    <div class="cw-controls">
      <label for="${id}-p">Side of a patch <select id="${id}-p" class="cw-side-of-patch"></select></label>
      <label for="${id}-e">Number in the token <input type="range" id="${id}-e" class="cw-entry" min="0" step="1">
        <output for="${id}-e"></output></label>
    </div>
    <div class="cw-row">
      <figure class="cw-cell"><figcaption>the image, cut</figcaption>
        <div class="cw-picture" role="grid" aria-label="Patches of the image, row by row"></div></figure>
      <div class="cw-side">
        <p class="cw-label" id="${id}-q"></p>
        <div class="cw-sequence" role="grid" aria-labelledby="${id}-q"><div role="row"></div></div>
        <p class="cw-label">the chosen token: one row of numbers, channel after channel</p>
        <div class="cw-token"><canvas class="cw-zoom" role="img"></canvas><div class="cw-runs"></div></div>
      </div>
    </div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const [picture, sequence, select, slider] = [".cw-picture", ".cw-sequence", ".cw-side-of-patch", ".cw-entry"].map(find);
  for (const side of model.get("sides")) select.add(new Option(`${side} pixels`, side));

  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [width, height];
  paint(whole, height, width, (y, x) => [0, 1, 2].map((c) => bytes[(c * height + y) * width + x]));
  const address = `url(${whole.toDataURL()})`;

  function paint(canvas, rows, columns, colour) {
    [canvas.width, canvas.height] = [columns, rows];
    const data = new ImageData(columns, rows);
    for (let y = 0; y < rows; y += 1) {
      for (let x = 0; x < columns; x += 1) data.data.set([...colour(y, x), 255], 4 * (y * columns + x));
    }
    canvas.getContext("2d").putImageData(data, 0, 0);
  }

  let built = 0;
  let tokens = [];
  const grid = () => [height / model.get("patch"), width / model.get("patch")];
  const put = (trait, value) => { model.set(trait, value); model.save_changes(); };
  let focusIn = null;
  const watchCells = (container, columns) => rove(container, {
    columns, count: () => tokens.length, current: () => model.get("token"),
    pick: (i, focus) => { focusIn = focus ? container : null; put("token", i); },
  });
  watchCells(picture, () => grid()[1]);
  watchCells(sequence, () => tokens.length);
  // every patch size has its own numbers: the choice goes back to a token and a number that exist
  select.addEventListener("change", () => { model.set("token", 0); model.set("entry", 0); put("patch", Number(select.value)); });
  slider.addEventListener("input", () => put("entry", Number(slider.value)));

  function cell(index, label) {
    const [rows, columns] = grid();
    const div = document.createElement("div");
    div.dataset.index = index;
    div.setAttribute("role", "gridcell");
    div.setAttribute("aria-label", label);
    div.style.backgroundImage = address;
    div.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
    const share = (i, n) => (n > 1 ? `${(100 * i) / (n - 1)}%` : "0%");
    div.style.backgroundPosition = `${share(index % columns, columns)} ${share(Math.floor(index / columns), rows)}`;
    return div;
  }

  function build() {
    const patch = model.get("patch");
    const [rows, columns] = grid();
    tokens = patchify(bytes, [channels, height, width], patch);
    built = patch;
    picture.replaceChildren(...Array.from({ length: rows }, (_, r) => {
      const row = document.createElement("div");
      row.setAttribute("role", "row");
      row.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
      row.append(...Array.from({ length: columns }, (_, c) => cell(r * columns + c, `patch in row ${r}, column ${c}`)));
      return row;
    }));
    picture.style.aspectRatio = `${width} / ${height}`;
    sequence.firstElementChild.replaceChildren(...tokens.map((_, i) => cell(i, `token ${i}`)));
    find(".cw-label").textContent = `the sequence: ${tokens.length} tokens of ${channels}·${patch}·${patch} = ${tokens[0].length} numbers`;
    find(".cw-runs").replaceChildren(...NAMES.map((name, c) => {
      const run = document.createElement("div");
      const canvas = document.createElement("canvas");
      canvas.setAttribute("aria-hidden", "true");
      const caption = document.createElement("span");
      caption.textContent = `${name}: numbers ${c * patch * patch} to ${(c + 1) * patch * patch - 1}`;
      const mark = document.createElement("i");
      const strip = document.createElement("div");
      strip.className = "cw-strip";
      strip.append(canvas, mark);
      run.append(caption, strip);
      return run;
    }));
  }

  function draw() {
    const patch = model.get("patch");
    if (built !== patch) build();
    const [token, entry] = [clamp(model.get("token"), 0, tokens.length - 1), clamp(model.get("entry"), 0, tokens[0].length - 1)];
    const numbers = tokens[token];
    const at = placeOf(entry, patch);
    select.value = patch;
    slider.max = numbers.length - 1;
    slider.value = entry;
    find("output").textContent = entry;
    markCell(picture, token, focusIn === picture);
    markCell(sequence, token, focusIn === sequence);
    focusIn = null;
    const area = patch * patch;
    const level = (c, y, x) => Math.round(255 * numbers[(c * patch + y) * patch + x]);
    const zoom = find(".cw-zoom");
    const scale = Math.max(1, Math.round(96 / patch));
    paint(zoom, patch * scale, patch * scale, (y, x) => {
      const [row, column] = [Math.floor(y / scale), Math.floor(x / scale)];
      const edge = [y % scale, x % scale].some((v) => v < 1 || v >= scale - 1);
      if (row === at.row && column === at.column && (edge || scale < 4)) return [255, 255, 0];
      return [0, 1, 2].map((c) => level(c, row, column));
    });
    zoom.setAttribute("aria-label", `Token ${token} as pixels, the chosen number's pixel marked`);
    [...find(".cw-runs").children].forEach((run, c) => {
      paint(run.querySelector("canvas"), 1, area, (_, x) => [0, 1, 2].map((k) => (k === c ? Math.round(255 * numbers[c * area + x]) : 0)));
      const mark = run.querySelector("i");
      mark.hidden = c !== at.channel;
      mark.style.left = `${(100 * (entry - c * area + 0.5)) / area}%`;
    });
    const columns = grid()[1];
    find(".cw-status").textContent = `Token ${token} of 0 to ${tokens.length - 1} is the patch in row ${Math.floor(token / columns)}, `
      + `column ${token % columns}. Its number ${entry} of 0 to ${numbers.length - 1} is channel ${at.channel} (${NAMES[at.channel]}), `
      + `row ${at.row}, column ${at.column} of the patch: ${fixed(numbers[entry], 3)}.`;
  }
  return redraw(model, ["patch", "token", "entry"], draw);
}
export default { render };
