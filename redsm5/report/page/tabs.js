// The parts of the page as tabs: one is shown, arrow keys go from tab to tab.

const tabs = () => [...document.querySelectorAll("[role=tab]")];
const shownPanel = () => document.querySelector(".panel:not([hidden])");

function isShown(name) {
  return shownPanel().id === `panel-${name}`;
}

function showPanel(name) {
  for (const tab of tabs()) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  for (const panel of document.querySelectorAll(".panel")) panel.hidden = panel.id !== `panel-${name}`;
  byId("keyboard").hidden = name !== "posts";
  setHash("tab", name === "posts" ? null : name);
}

function onTabKey(event) {
  const all = tabs();
  const at = all.indexOf(event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  const tab = all[(to + all.length) % all.length];
  showPanel(tab.id.slice("tab-".length));
  tab.focus();
  event.preventDefault();
  event.stopPropagation();
}

function startTabs() {
  for (const tab of tabs()) {
    tab.addEventListener("click", () => showPanel(tab.id.slice("tab-".length)));
    tab.addEventListener("keydown", onTabKey);
  }
}
