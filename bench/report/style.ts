/**
 * Style sheets of the report and the charts: light, dark, print, narrow. They load no fonts, images or other files.
 */

const LIGHT = `
  --paper: #ffffff; --ink: #1a1a1a; --soft: #565656; --grid: #dddddd; --panel: #f5f5f3; --link: #005a9c;
  --c0: #00795a; --c1: #c04a00; --c2: #0067a6; --c3: #a8457f; --c4: #946200; --c5: #2b7f99; --c6: #1a1a1a; --c7: #7d6650;`;

const DARK = `
  --paper: #16181b; --ink: #ececec; --soft: #b0b4b8; --grid: #3a3e44; --panel: #1f2226; --link: #86c5ff;
  --c0: #38d3a5; --c1: #ff9552; --c2: #6fb9f2; --c3: #e79cc9; --c4: #e8ab2e; --c5: #8fd9ee; --c6: #ececec; --c7: #cdb79d;`;

const COLOURS = Array.from({ length: 8 }, (_, i) => `.s${i} { --own: var(--c${i}); }`).join('\n');

/** For charts in the page and in separate files. */
const CHART_RULES = `
${COLOURS}
svg { font: 12px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; background: var(--paper); }
svg text { fill: var(--ink); }
svg .title { font-weight: 600; font-size: 13px; }
svg .group { font-weight: 600; }
svg .tick { fill: var(--soft); font-size: 11px; }
svg .value { font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .leader { stroke: var(--soft); stroke-width: 0.7; stroke-dasharray: 1 2; }
svg .line { fill: none; stroke: var(--own); stroke-width: 2; }
svg .interval { stroke: var(--own); stroke-width: 4; stroke-opacity: 0.4; stroke-linecap: round; }
svg .dot { fill: var(--own); stroke: var(--own); stroke-width: 1.5; }
svg .hollow .dot { fill: var(--paper); }
svg .step { fill: none; stroke-width: 1.8; }
svg .queue { stroke: var(--c1); }
svg .threads { stroke: var(--c6); stroke-dasharray: 2 3; }
svg .busy { stroke: var(--c2); stroke-dasharray: 7 3; }
svg .running { stroke: var(--c0); }`;

const THEMES = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
@media print { :root { color-scheme: light; ${LIGHT} } }`;

/** For a chart in a separate file. */
export const CHART_STYLE = `${THEMES}${CHART_RULES}`;

export const PAGE_STYLE = `${THEMES}${CHART_RULES}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem clamp(0.9rem, 3vw, 2.5rem) 4rem; max-width: 1420px;
  background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 0.4rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 0.3rem; padding-top: 0.8rem; border-top: 2px solid var(--grid); }
h3 { font-size: 1.02rem; margin: 1.6rem 0 0.4rem; }
p, li, dd { max-width: 72ch; overflow-wrap: anywhere; }
p { margin: 0.4rem 0 0.8rem; }
a { color: var(--link); }
code { font: 0.88em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.notice { border-left: 5px solid var(--c1); background: var(--panel); padding: 0.6rem 0.9rem; max-width: 76ch; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; list-style: none; padding: 0; margin: 0.8rem 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 1.4rem 2rem; margin: 1rem 0; }
figure { margin: 0; max-width: 620px; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
.wide { overflow-x: auto; max-width: 100%; margin: 0.6rem 0; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.28rem 0.9rem 0.28rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th { font-weight: 600; }
td.number, td:first-child { white-space: nowrap; }
td small { color: var(--soft); }
td.number small { white-space: nowrap; }
.summary td:first-child { white-space: normal; min-width: 17rem; }
.summary th[scope="row"], .values, .summary .several td:first-child { white-space: nowrap; }
header section h2 { border: 0; margin: 1rem 0 0.3rem; padding: 0; }
.overview td:first-child { padding-left: 0.9rem; }
th .soft { font-weight: 400; }
tr.first td, tr.first th { border-top: 2px solid var(--grid); }
.better::before { content: "\\25B2\\A0"; color: var(--c2); }
.worse::before { content: "\\25BC\\A0"; color: var(--c1); }
.same::before { content: "=\\A0"; color: var(--soft); }
.undecided::before { content: "?\\A0"; color: var(--soft); }
.fails::before { content: "\\2715\\A0"; color: var(--c1); }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: 0.2rem 1.2rem; }
dt { color: var(--soft); }
dd { margin: 0; }
@media (max-width: 900px) { /* no longer a line for each load */
  .summary .several td:first-child { white-space: normal; }
  .several .values, .several .values + br { display: none; }
}
@media (max-width: 560px) {
  body { font-size: 15px; }
  .summary td:first-child { min-width: 9rem; }
  .summary th[scope="row"] { white-space: normal; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h2 { break-after: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  tr { break-inside: avoid; }
}`;
