// One post: its text with the spans of gold and model, and the table of its criteria.

const LANE = 5; // pixels from one underline to the next

/** What is drawn over a post's text, in UTF-16 units. `weak`: found, though the criterion is decided negative. */
function layersOf(post) {
  const unit = unitsOf(post.text);
  const layers = [];
  const add = (kind, k, [start, end, score]) => {
    const layer = { kind, k, start: unit(start), end: unit(end), score };
    if (layer.start < layer.end) layers.push(layer);
  };
  page.criteria.forEach((_, k) => {
    if (page.has_gold) post.gold[k].forEach((span) => add("gold", k, span));
    if (page.has_gold) post.hard[k].forEach((span) => add("hard", k, span));
    for (const span of post.spans[k]) add(post.decided[k] ? "model" : "weak", k, span);
  });
  return layers;
}

const KINDS = { gold: "gold", hard: "hard negative", model: "model" };

/** The labels where spans open: one per criterion, filled for the model, underlined for gold. */
function chips(opening) {
  const shown = opening.filter((layer) => layer.kind !== "weak");
  const criteria = [...new Set(shown.map((layer) => layer.k))].sort((a, b) => a - b);
  return criteria.map((k) => {
    const kinds = [...new Set(shown.filter((layer) => layer.k === k).map((layer) => layer.kind))];
    const said = kinds.map((kind) => KINDS[kind]).join(" and ");
    const chip = keyChip(k, `chip ${kinds.join(" ")}`);
    chip.title = `${page.criteria[k].title}: ${said}`;
    chip.dataset.k = k;
    chip.append(element("span", "hidden", ` ${page.criteria[k].title}, ${said}: `));
    return chip;
  });
}

function keyChip(k, className) {
  const chip = element("span", className);
  chip.style.setProperty("--c", colour(k));
  const key = element("span", "key", page.criteria[k].mark);
  key.setAttribute("aria-hidden", "true");
  chip.append(key);
  return chip;
}

function renderText(post, into) {
  const layers = layersOf(post);
  const lanes = assignLanes(layers.filter((layer) => layer.kind === "gold" || layer.kind === "hard"));
  into.replaceChildren();
  into.style.setProperty("--lanes", String(lanes));
  if (!post.text) into.append(element("em", "empty", "This post is empty."));
  return cutSegments(post.text.length, layers).map((segment) => {
    const node = element("span", "seg", post.text.slice(segment.start, segment.end));
    for (const kind of ["gold", "hard", "model", "weak"]) {
      const ks = segment.layers.filter((layer) => layer.kind === kind).map((layer) => layer.k);
      if (ks.length) node.dataset[kind] = ks.join(" ");
    }
    const labels = chips(segment.opening);
    into.append(...labels, node);
    return { ...segment, node, labels };
  });
}

/** A lane under the text: whole for gold evidence, dotted for a hard negative. */
function underline(kind, c, bottom) {
  const image =
    kind === "gold" ? `linear-gradient(${c}, ${c})` : `repeating-linear-gradient(90deg, ${c} 0 2px, transparent 2px 6px)`;
  return { image, size: "100% 3px", position: `left 0 bottom ${bottom}px`, origin: "padding-box" };
}

/** A tint behind the text, one of `count` bands above each other; striped where the criterion is decided negative. */
function band(kind, c, i, count) {
  const tint = `color-mix(in oklab, ${c} var(--tint), transparent)`;
  const image =
    kind === "model"
      ? `linear-gradient(${tint}, ${tint})`
      : `repeating-linear-gradient(135deg, ${tint} 0 3px, transparent 3px 7px)`;
  const top = count === 1 ? 0 : (100 * i) / (count - 1);
  return { image, size: `100% ${100 / count}%`, position: `left 0 top ${top}%`, origin: "content-box" };
}

/** Draw the layers of all criteria, or of criterion `only` alone, without moving the text. */
function paint(segments, only) {
  for (const { node, layers, labels } of segments) {
    const visible = layers.filter((layer) => (only === null ? layer.kind !== "weak" : layer.k === only));
    const underlines = visible.filter((layer) => layer.lane !== undefined);
    const depth = Math.max(0, ...layers.map((layer) => (layer.lane ?? -1) + 1)) * LANE;
    const tints = visible.filter((layer) => layer.lane === undefined);
    const drawn = [
      ...underlines.map(({ kind, k, lane }) => underline(kind, colour(k), depth - (lane + 1) * LANE)),
      ...tints.map(({ kind, k }, i) => band(kind, colour(k), i, tints.length)),
    ];
    node.style.backgroundImage = drawn.map((d) => d.image).join(", ");
    node.style.backgroundSize = drawn.map((d) => d.size).join(", ");
    node.style.backgroundPosition = drawn.map((d) => d.position).join(", ");
    node.style.backgroundOrigin = drawn.map((d) => d.origin).join(", ");
    node.style.paddingBottom = depth ? `${depth}px` : "";
    for (const label of labels) label.classList.toggle("away", only !== null && Number(label.dataset.k) !== only);
  }
}
