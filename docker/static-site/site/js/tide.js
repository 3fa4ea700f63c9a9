// Draws one day's tide: a cosine between each high and low water of /data/tides.json.
const curve = document.getElementById("curve");
const [WIDTH, HEIGHT, BASE] = [960, 230, 200];

const minutes = (clock) => clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
const x = (minute) => (minute / 1440) * WIDTH;
const y = (metres) => BASE - metres * 34;

function height(turns, minute) {
  const after = turns.findIndex((turn) => turn.at >= minute);
  const [a, b] = [turns[after - 1], turns[after]];
  const share = (minute - a.at) / (b.at - a.at);
  return (a.metres + b.metres) / 2 + ((a.metres - b.metres) / 2) * Math.cos(Math.PI * share);
}

function draw(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  curve.append(element);
}

const table = await (await fetch("/data/tides.json")).json();
const turns = table.turns.map((turn) => ({ ...turn, at: minutes(turn.clock) + 1440 * (turn.day ?? 0) }));
let line = `M0 ${BASE}`;
for (let minute = 0; minute <= 1440; minute += 10) line += `L${x(minute)} ${y(height(turns, minute)).toFixed(1)}`;
draw("path", { class: "water", d: `${line}L${WIDTH} ${BASE}Z` });
for (let hour = 3; hour < 24; hour += 3) draw("text", { class: "hour", x: x(hour * 60), y: HEIGHT - 6 }, `${hour}:00`);
const ofToday = turns.filter((turn) => turn.at >= 0 && turn.at <= 1440);
for (const turn of ofToday) {
  draw("text", { class: "turn", x: Math.min(Math.max(x(turn.at), 60), WIDTH - 60), y: y(turn.metres) - 12 }, `${turn.clock}  ${turn.metres} m`);
}
const now = new Date().getHours() * 60 + new Date().getMinutes();
draw("line", { class: "now", x1: x(now), x2: x(now), y1: 14, y2: BASE });
const next = turns.find((turn) => turn.at > now);
document.getElementById("next").textContent =
  `Next: ${next.kind} water at ${next.clock}, ${next.metres} m. The red line is now.`;
