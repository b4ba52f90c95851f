// The list of posts: rows, marks and filters.

const OUTCOMES = { hit: "\u25cf", missed: "\u25cb", alarm: "\u00d7" };
const OUTCOME_NAMES = { hit: "hit", missed: "missed", alarm: "false alarm" };

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function colour(k) {
  return `var(--c${k % 9})`;
}

/** Per criterion: "hit", "missed", "alarm" or "" (nothing there, nothing said). Without gold a hit is a decision. */
function outcomesOf(post) {
  return post.decided.map((decided, k) => {
    if (!page.has_gold) return decided ? "hit" : "";
    if (post.labels[k]) return decided ? "hit" : "missed";
    return decided ? "alarm" : "";
  });
}

/** The criteria of a hit whose best span misses the gold evidence. */
function misplaced(post, k) {
  const evidence = post.gold[k].length > 0 && !post.unaligned[k];
  return evidence && post.outcomes[k] === "hit" && !(post.spans[k].length > 0 && post.spans[k][0][3]);
}

function describe(post) {
  const said = page.criteria.flatMap((criterion, k) => {
    const outcome = post.outcomes[k];
    if (!outcome) return [];
    return [page.has_gold ? `${OUTCOME_NAMES[outcome]} ${criterion.title}` : criterion.title];
  });
  return `${post.id}: ${said.join(", ") || "no criterion"}`;
}

function listRow(post, index) {
  const row = element("li", "row");
  row.id = `row-${index}`;
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", "false");
  row.setAttribute("aria-label", describe(post));
  row.append(element("span", "row-id", post.id));
  const strip = element("span", "strip");
  post.outcomes.forEach((outcome, k) => {
    if (!outcome) return;
    const mark = element("span", `mark ${outcome}`, OUTCOMES[outcome]);
    mark.style.gridColumn = String(k + 1);
    mark.style.color = colour(k);
    strip.append(mark);
  });
  row.append(strip);
  return row;
}

const TESTS = {
  all: (outcome) => outcome !== "",
  right: (outcome) => outcome === "hit",
  wrong: (outcome) => outcome === "missed" || outcome === "alarm",
  missed: (outcome) => outcome === "missed",
  alarm: (outcome) => outcome === "alarm",
  misplaced: (outcome, post, k) => misplaced(post, k),
  some: (outcome) => outcome !== "",
  rest: (outcome) => outcome === "",
};

const CHOICES = {
  gold: [
    ["all", "Right and wrong"],
    ["right", "Right"],
    ["wrong", "Wrong"],
    ["missed", "Missed"],
    ["alarm", "False alarm"],
    ["misplaced", "Hit, best span off the evidence"],
    ["rest", "Neither gold nor predicted"],
  ],
  predictions: [
    ["all", "All posts"],
    ["some", "Some criterion"],
    ["none", "No criterion"],
  ],
};

/** Whether the filters let a post through. A criterion asks for posts where it is gold or predicted. */
function passes(post, filter) {
  if (filter.search && !post.id.toLowerCase().includes(filter.search)) return false;
  const chosen = filter.criterion === "" ? post.outcomes.map((_, k) => k) : [Number(filter.criterion)];
  if (filter.hard && !chosen.some((k) => post.hard[k].length > 0)) return false;
  const holds = (name) => chosen.some((k) => TESTS[name](post.outcomes[k], post, k));
  if (filter.criterion === "") {
    if (filter.outcome === "all") return true;
    if (filter.outcome === "right") return !holds("wrong");
    if (filter.outcome === "none" || filter.outcome === "rest") return !holds("some");
  }
  if (filter.hard && filter.outcome === "all") return true;
  return filter.outcome === "none" ? !holds("some") : holds(filter.outcome);
}
