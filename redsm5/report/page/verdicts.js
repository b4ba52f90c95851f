// The table of the chosen post: what the model says of each criterion, and what is true.

const COLUMNS = ["Criterion", "Probability", "Gold", "Model"];

function decimals(value, digits) {
  return value === null ? "n/a" : value.toFixed(digits).replace("-", "\u2212").replace(/^(\u2212?)0\./, "$1.");
}

function renderColumns(head) {
  const row = element("tr");
  for (const name of COLUMNS) {
    if (name === "Gold" && !page.has_gold) continue;
    const cell = element("th", "", name);
    cell.scope = "col";
    row.append(cell);
  }
  head.replaceChildren(row);
}

function probabilityCell(post, k) {
  const cell = element("td", "probability");
  const { threshold } = page.criteria[k];
  const bar = element("span", "bar");
  bar.setAttribute("aria-hidden", "true");
  const fill = element("span", "fill");
  fill.style.width = `${100 * (post.probabilities[k] ?? 0)}%`;
  fill.style.background = colour(k);
  const tick = element("span", "tick");
  tick.style.left = `${100 * threshold}%`;
  bar.append(fill, tick);
  cell.title = `threshold ${decimals(threshold, 3)}`;
  cell.append(bar, element("span", "number", decimals(post.probabilities[k], 2)));
  cell.append(element("span", "hidden", ` threshold ${decimals(threshold, 2)}`));
  return cell;
}

function goldCell(post, k) {
  const cell = element("td", post.labels[k] ? "" : "faint", post.labels[k] ? "yes" : "no");
  const notes = [];
  if (post.unaligned[k]) notes.push("evidence not all found in the text");
  else if (post.labels[k] && !post.gold[k].length) notes.push("no evidence marked");
  if (post.hard[k].length) notes.push(post.hard[k].length > 1 ? `${post.hard[k].length} hard negatives` : "hard negative");
  for (const note of notes) cell.append(element("span", "note", note));
  return cell;
}

function modelCell(post, k) {
  const outcome = post.outcomes[k];
  const cell = element("td", outcome ? `said ${outcome}` : "said faint");
  if (outcome) {
    const mark = element("span", `mark ${outcome}`, OUTCOMES[outcome]);
    mark.setAttribute("aria-hidden", "true");
    mark.style.color = colour(k);
    cell.append(mark, " ");
  }
  cell.append(post.decided[k] ? "yes" : "no");
  if (outcome && page.has_gold) cell.append(element("span", "note", OUTCOME_NAMES[outcome]));
  return cell;
}

/** A line per span of the model, best first; `onSpan(k, start)` is called with a UTF-16 offset. */
function spanList(post, k, onSpan) {
  const found = post.spans[k];
  const spoken = post.decided[k] || (page.has_gold && post.labels[k]);
  if (!found.length) return spoken ? element("p", "faint", "no span beats \u201cno evidence\u201d") : null;
  const unit = unitsOf(post.text);
  const list = element("ul", "spans");
  for (const [start, end, score, hit] of spoken ? found : found.slice(0, 1)) {
    const button = element("button", post.decided[k] ? "span" : "span weak");
    button.type = "button";
    button.title = `characters ${start} to ${end}, score ${decimals(score, 2)}`;
    button.append(element("span", "number", decimals(score, 2)));
    button.append(element("span", "excerpt", post.text.slice(unit(start), unit(end))));
    if (hit !== null) button.append(element("span", "note", hit ? "on the evidence" : "off"));
    button.addEventListener("click", () => onSpan(k, unit(start)));
    const item = element("li");
    item.append(button);
    list.append(item);
  }
  if (!post.decided[k]) list.append(element("li", "note", "below its threshold, so not predicted"));
  return list;
}

/** One table body per criterion: a row of verdicts and, where there is something to say, a row of spans. */
function renderVerdicts(post, table, { onSpan, onHover, onPin }) {
  for (const body of [...table.tBodies]) body.remove();
  page.criteria.forEach((criterion, k) => {
    const body = element("tbody", post.outcomes[k] || (page.has_gold && post.hard[k].length) ? "" : "silent");
    const row = element("tr");
    const head = element("th");
    head.scope = "row";
    const button = element("button", "criterion");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.dataset.k = k;
    button.append(keyChip(k, "chip plain"), element("span", "", criterion.title));
    button.title = criterion.code;
    head.append(button);
    row.append(head, probabilityCell(post, k));
    if (page.has_gold) row.append(goldCell(post, k));
    row.append(modelCell(post, k));
    body.append(row);
    const spans = spanList(post, k, onSpan);
    if (spans) {
      const cell = element("td", "span-cell");
      cell.colSpan = COLUMNS.length;
      cell.append(spans);
      const second = element("tr", "second");
      second.append(cell);
      body.append(second);
    }
    body.addEventListener("mouseenter", () => onHover(k));
    body.addEventListener("mouseleave", () => onHover(null));
    button.addEventListener("focus", () => onHover(k));
    button.addEventListener("blur", () => onHover(null));
    button.addEventListener("click", () => onPin(k));
    table.append(body);
  });
}
