// Pure functions about offsets: no DOM, no state.

/** Python counts code points, JavaScript UTF-16 units: a function from the former to the latter. */
function unitsOf(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (offset) => Math.min(offset, text.length);
  const units = [];
  let unit = 0;
  for (const character of text) {
    units.push(unit);
    unit += character.length;
  }
  units.push(unit);
  return (offset) => units[Math.min(offset, units.length - 1)];
}

/** Give each layer the lowest lane that is free where it starts; returns the number of lanes. */
function assignLanes(layers) {
  const ends = [];
  for (const layer of [...layers].sort((a, b) => a.start - b.start || a.k - b.k)) {
    let lane = ends.findIndex((end) => end <= layer.start);
    if (lane < 0) lane = ends.length;
    ends[lane] = layer.end;
    layer.lane = lane;
  }
  return ends.length;
}

/** Cut a text of `length` units where a layer starts or ends: [{start, end, layers, opening}]. */
function cutSegments(length, layers) {
  const cuts = new Set([0, length]);
  for (const layer of layers) cuts.add(layer.start).add(layer.end);
  const at = [...cuts].sort((a, b) => a - b);
  return at.slice(0, -1).map((start, i) => ({
    start,
    end: at[i + 1],
    layers: layers.filter((layer) => layer.start <= start && layer.end > start),
    opening: layers.filter((layer) => layer.start === start && layer.end > start),
  }));
}
