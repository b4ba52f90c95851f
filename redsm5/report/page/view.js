// What the page remembers, and what a click or a key does.

const byId = (id) => document.getElementById(id);
const listNode = byId("list");
const rows = page.posts.map((post, index) => {
  post.outcomes = outcomesOf(post);
  return listRow(post, index);
});
const state = { chosen: -1, visible: page.posts.map((_, i) => i), pinned: null, segments: [] };

function drawPost(only) {
  paint(state.segments, only);
  byId("text").classList.toggle("alone", only !== null);
  for (const button of document.querySelectorAll("button.criterion")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.k) === state.pinned));
  }
}

function pin(k) {
  state.pinned = k;
  drawPost(k);
}

function goToSpan(k, start) {
  pin(k);
  const segment = state.segments.find((s) => s.start === start);
  if (!segment) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  segment.node.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
}

function summarise(post) {
  const count = (name) => post.outcomes.filter((outcome) => outcome === name).length;
  const words = (post.text.match(/\S+/g) ?? []).length;
  const parts = [words === 1 ? "1 word" : `${words.toLocaleString("en")} words`];
  if (!page.has_gold) parts.push(`${count("hit")} predicted`);
  else if (!post.outcomes.some(Boolean)) parts.push("no criterion, none predicted");
  else {
    if (count("hit")) parts.push(`${count("hit")} hit`);
    if (count("missed")) parts.push(`${count("missed")} missed`);
    if (count("alarm")) parts.push(count("alarm") > 1 ? `${count("alarm")} false alarms` : "1 false alarm");
  }
  return parts.join(" \u00b7 ");
}

/** Scrolls the list, and it alone: scrollIntoView would also change where the Tab key goes on from. */
function reveal(row) {
  const box = row.getBoundingClientRect();
  const frame = listNode.getBoundingClientRect();
  if (box.top < frame.top) listNode.scrollTop += box.top - frame.top;
  else if (box.bottom > frame.bottom) listNode.scrollTop += box.bottom - frame.bottom;
}

function choose(index) {
  if (index === undefined) return;
  rows[state.chosen]?.setAttribute("aria-selected", "false");
  state.chosen = index;
  state.pinned = null;
  const post = page.posts[index];
  rows[index].setAttribute("aria-selected", "true");
  reveal(rows[index]);
  listNode.setAttribute("aria-activedescendant", rows[index].id);
  byId("post-id").textContent = post.id;
  byId("post-summary").textContent = summarise(post);
  state.segments = renderText(post, byId("text"));
  renderVerdicts(post, document.querySelector("#verdicts table"), {
    onSpan: goToSpan,
    onHover: (k) => drawPost(k ?? state.pinned),
    onPin: (k) => pin(state.pinned === k ? null : k),
  });
  byId("reading").scrollTop = 0;
  byId("verdicts").scrollTop = 0;
  drawPost(null);
  showStep();
  setHash("post", post.id);
}

function place() {
  return state.visible.indexOf(state.chosen);
}

function step(by) {
  const last = state.visible.length - 1;
  if (last < 0) return;
  // A chosen post that the filters hide has no place: go on from the one before it.
  const from = place() >= 0 ? place() : state.visible.findLastIndex((i) => i < state.chosen) + (by < 0 ? 1 : 0);
  choose(state.visible[Math.max(0, Math.min(last, from + by))]);
}

function showStep() {
  const at = place();
  byId("previous").disabled = at === 0 || !state.visible.length;
  byId("next").disabled = (at >= 0 && at === state.visible.length - 1) || !state.visible.length;
}

function filterPosts() {
  const filter = {
    search: byId("search").value.trim().toLowerCase(),
    criterion: byId("criterion").value,
    outcome: byId("outcome").value,
    hard: byId("hard").checked,
  };
  state.visible = [];
  page.posts.forEach((post, i) => {
    const shown = passes(post, filter);
    rows[i].hidden = !shown;
    if (shown) state.visible.push(i);
  });
  const shown = state.visible.length.toLocaleString("en");
  const all = page.posts.length.toLocaleString("en");
  byId("count").textContent = state.visible.length
    ? `${shown === all ? "" : `${shown} of `}${all} posts`
    : "No post passes the filters.";
  if (place() < 0 && state.visible.length) choose(state.visible[0]);
  showStep();
}

function readHash() {
  return new URLSearchParams(location.hash.slice(1));
}

function setHash(name, value) {
  const hash = readHash();
  if (value === null) hash.delete(name);
  else hash.set(name, value);
  history.replaceState(null, "", `#${hash}`);
}

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

/** One step back: out of a field, empty for the search; then all spans of the post; then all posts. */
function escape(from) {
  if (from === byId("search")) {
    byId("search").value = "";
    filterPosts();
    listNode.focus();
  } else if (from.matches("select")) listNode.focus();
  else if (state.pinned !== null) pin(null);
  else resetFilters();
}

function resetFilters() {
  byId("filters").reset();
  filterPosts();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input[type=search], select");
  if (event.key === "Escape") {
    if (isShown("posts")) escape(event.target);
    return;
  }
  if (typing || !isShown("posts")) return;
  const inList = event.target === listNode || event.target === document.body;
  const steps = { j: 1, k: -1 };
  if (inList) Object.assign(steps, { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity });
  if (event.key === "/") byId("search").focus();
  else if (event.key in steps) step(steps[event.key]);
  else return;
  event.preventDefault();
}

/** A number or a name in a figure that stands for posts: show them. */
function onJump(event) {
  const button = event.target.closest("button.jump");
  if (!button) return;
  byId("search").value = "";
  byId("hard").checked = false;
  byId("criterion").value = button.dataset.criterion;
  byId("outcome").value = button.dataset.outcome;
  filterPosts();
  showPanel("posts");
  if (state.visible.length) choose(state.visible[0]);
  listNode.focus();
}

function fillSelect(select, choices) {
  select.replaceChildren(...choices.map(([value, name]) => new Option(name, value)));
}

function legendItem(className, said) {
  const item = element("span", "legend-item");
  item.append(element("span", `sample ${className}`, "text"), ` ${said}`);
  return item;
}

function start() {
  fillSelect(byId("criterion"), [["", "All criteria"], ...page.criteria.map((c, k) => [String(k), c.title])]);
  fillSelect(byId("outcome"), page.has_gold ? CHOICES.gold : CHOICES.predictions);
  byId("hard-label").hidden = !page.has_gold;
  const signs = page.has_gold ? Object.keys(OUTCOMES) : ["hit"];
  byId("signs").append(
    ...signs.map((name) => {
      const sign = element("span", "");
      sign.append(element("span", "mark", OUTCOMES[name]), ` ${page.has_gold ? OUTCOME_NAMES[name] : "predicted"}`);
      return sign;
    }),
  );
  byId("keys").append(
    ...page.criteria.map((criterion, k) => {
      const key = element("span", "", criterion.mark);
      key.title = criterion.title;
      key.style.borderColor = colour(k);
      return key;
    }),
  );
  document.documentElement.style.setProperty("--count", String(page.criteria.length));
  if (page.has_gold) {
    byId("legend").append(legendItem("gold", "gold evidence"), legendItem("hard", "hard negative"));
  }
  byId("legend").append(legendItem("model", "predicted span"), legendItem("weak", "found, but criterion below its threshold"));
  renderColumns(byId("columns"));
  listNode.append(...rows);

  listNode.addEventListener("click", (event) => {
    const row = event.target.closest("li");
    if (row) choose(rows.indexOf(row));
  });
  byId("filters").addEventListener("input", filterPosts);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("theme").addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    setTheme(theme);
    setHash("theme", theme === "auto" ? null : theme);
  });
  byId("skip").addEventListener("click", () => (isShown("posts") ? byId("reading") : shownPanel()).focus());
  startTabs();
  for (const panel of document.querySelectorAll(".figures-panel")) panel.addEventListener("click", onJump);
  document.addEventListener("keydown", onKey);

  const hash = readHash();
  setTheme(THEMES.includes(hash.get("theme")) ? hash.get("theme") : "auto");
  const asked = page.posts.findIndex((post) => post.id === hash.get("post"));
  if (asked >= 0) choose(asked);
  filterPosts();
  if (rows[state.chosen]) reveal(rows[state.chosen]); // the filters above may have grown since
  if (byId(`tab-${hash.get("tab")}`)) showPanel(hash.get("tab"));
  document.documentElement.dataset.ready = "yes";
}

start();
