// The view of rates, lag and processes.

import { byId, duration, fill, make, number, rate } from "./elements.js";
import { get, listen, showProblem } from "./server.js";

export function openFlow() {
  listen("/page/flow/events", { flow: showFlow }, () =>
    get("/page/flow").then(showFlow, (problem) => showProblem(problem.message)),
  );
}

function showFlow(flow) {
  const { totals, replica } = flow;
  const tile = (name, value, note) =>
    make("div", null, make("dt", null, name), make("dd", null, value), make("dd", null, note));
  const countTile = (name, count) =>
    tile(
      name,
      count.rate === null ? "–" : `${rate(count.rate)}/s`,
      count.total === null ? "no router answers" : `${number(count.total)} in all`,
    );
  const lag = Object.entries(flow.lag);
  const oldest = Math.max(0, ...Object.values(flow.oldest_seconds));
  const fresh = replica.freshness_seconds;
  byId("tiles").replaceChildren(
    countTile("Events", totals.received),
    countTile("Routed", totals.routed),
    countTile("Unknown", totals.unknown),
    countTile("Dead letters", totals.dead),
    tile(
      "Lag, records",
      lag.length ? number(lag.reduce((sum, [, value]) => sum + value, 0)) : "–",
      lag.map(([kind, value]) => `${kind} ${number(value)}`).join(", ") || "no process answers",
    ),
    tile("Oldest unprocessed", lag.length ? duration(oldest) : "–", "by the processes"),
    tile(
      "Rosters here are",
      !replica.complete ? "incomplete" : fresh < 1.5 ? "up to date" : `${duration(fresh)} old`,
      `${number(replica.lag)} records behind`,
    ),
  );
  const known = flow.history.filter((value) => value !== null);
  const greatest = Math.max(1, ...known);
  const left = 180 - flow.history.length;
  byId("curve-line").setAttribute(
    "points",
    flow.history
      .map((value, at) => `${left + at},${(38 - (36 * (value ?? 0)) / greatest).toFixed(1)}`)
      .join(" "),
  );
  const peak = known.length ? `, at most ${rate(Math.max(...known))}` : ": not known";
  byId("curve-caption").textContent = `Events per second over the last three minutes${peak}`;
  fill(
    byId("types"),
    flow.event_types.map((type) => [
      type.name,
      { number: rate(type.rate) },
      { number: number(type.total) },
      { number: number(type.dead) },
    ]),
    "No events yet.",
  );
  fill(
    byId("codes"),
    flow.dead_letters.map((count) => [
      count.code,
      { number: rate(count.rate) },
      { number: number(count.total) },
    ]),
    "None since the processes were started.",
  );
  fill(byId("replica"), [
    ...Object.entries(replica.rows).map(([name, rows]) => [
      `rows of ${name}`,
      { number: number(rows) },
    ]),
    ["records taken since the start", { number: number(replica.records) }],
    ["unusable records", { number: number(replica.unusable) }],
  ]);
  fill(
    byId("processes"),
    flow.processes.map((process) => [
      make("code", null, process.url),
      process.reachable ? `${process.kind || "?"} ${process.version}` : "",
      { number: process.reachable ? rate(process.rate) : "" },
      { number: process.reachable ? number(process.lag) : "" },
      { number: process.reachable ? duration(process.oldest_seconds) : "" },
      remarks(process),
    ]),
    "None: ROLLCALL_METRICS_URLS is empty.",
  );
  fill(
    byId("stages"),
    flow.stages.map((stage) => [
      stage.name,
      ...[stage.rows, stage.parked, stage.to_follow].map((value) => ({ number: number(value) })),
      ...[stage.consumed_rate, stage.published_rate, stage.withdrawn_rate].map((value) => ({
        number: rate(value),
      })),
    ]),
    "No rosters process answers.",
  );
  showProblem(replica.problem);
}

function remarks(process) {
  if (!process.reachable) return make("span", { class: "state bad long" }, process.problem);
  const problems = process.breakers.map((partition) => `breaker open: ${partition}`);
  if (process.expired) problems.push(`${number(process.expired)} records expired unread`);
  if (process.failures) problems.push(`${number(process.failures)} failures to write`);
  return problems.length
    ? make("span", { class: "state bad long" }, problems.join("; "))
    : make("span", { class: "state good" }, "fine");
}
