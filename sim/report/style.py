"""The look of a report: system fonts, one column, light and dark, screen and print."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--page:#fff;--card:#f5f6f8;--ink:#1d2129;--quiet:#565e6c;--line:#d9dde3;--accent:#0b5cad;
--better:#0a6b3d;--worse:#b3261e;--tint:#eef4fb;--shade:#aeb6c2}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--card:#1d2229;--ink:#e8eaed;--quiet:#a8b0bd;--line:#353c46;
--accent:#7cb7ff;--better:#6fd39b;--worse:#ff9a90;--tint:#18263a;--shade:#59626f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
overflow-wrap:anywhere}
header,main,footer{max-width:1300px;margin:0 auto;padding:0 20px}
header{padding-top:40px}
h1{font-size:clamp(1.6rem,4vw,2.2rem);line-height:1.2;letter-spacing:-.015em;margin:0 0 .3em}
h2{font-size:1.3rem;line-height:1.3;letter-spacing:-.01em;margin:2.6em 0 .5em}
h3{font-size:1rem;margin:1.8em 0 .5em}
p{max-width:72ch;margin:.5em 0}
.question{font-size:1.15rem;color:var(--quiet)}
.facts{color:var(--quiet);font-size:.9rem;max-width:none}
.verdict{background:var(--tint);border-left:4px solid var(--accent);border-radius:0 8px 8px 0;padding:16px 20px;margin:24px 0 0}
.verdict h2{font-size:.85rem;font-weight:600;letter-spacing:.02em;margin:0;color:var(--quiet)}
.verdict p{font-size:1.12rem;margin:.3em 0 0}
.warning{border-left:4px solid var(--worse);padding:8px 20px;margin:16px 0 0}
.note{color:var(--quiet);font-size:.9rem}
.scroll{overflow-x:auto;margin:12px 0;border:1px solid var(--line);border-radius:8px;
background:linear-gradient(90deg,transparent,var(--page) 70%) 100% 0/48px 100% no-repeat local,
linear-gradient(90deg,transparent,var(--shade)) 100% 0/20px 100% no-repeat scroll}
.scroll:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.84rem;line-height:1.35;font-variant-numeric:tabular-nums;
overflow-wrap:normal}
th,td{padding:8px 6px;text-align:right;vertical-align:top;border-top:1px solid var(--line);white-space:nowrap}
thead th{border-top:0;background:var(--card);font-weight:600;vertical-align:bottom;white-space:normal;min-width:4.5em}
th:first-child{position:sticky;left:0;z-index:1;text-align:left;background:var(--page);border-right:1px solid var(--line);
min-width:8em;max-width:12em;white-space:normal;overflow-wrap:anywhere}
thead th:first-child{background:var(--card)}
.text td,.text th{padding:8px 12px}
.text td{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:9em}
.text thead th{text-align:left}
.value{display:block;font-weight:600}
.plain .value{font-weight:400}
.interval,.kind{display:block;color:var(--quiet);font-size:.8rem;font-weight:400}
.gap{display:block;font-size:.8rem}
.better{color:var(--better)}
.worse{color:var(--worse)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));gap:16px;align-items:start;
margin:16px 0}
.charts.wide{grid-template-columns:minmax(0,560px)}
figure{margin:0;min-width:0;background:#fff;color:#1d2129;border:1px solid var(--line);border-radius:8px;padding:12px 14px 8px;
break-inside:avoid}
figcaption{font-weight:600;font-size:.95rem;margin:0 0 4px}
svg{display:block;width:100%;height:auto}
svg *{stroke-linejoin:round;stroke-linecap:butt}
svg text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif!important}
figure details{--page:#fff;--card:#f5f6f8;--ink:#1d2129;--quiet:#565e6c;--line:#d9dde3;--accent:#0b5cad;font-size:.85rem}
figure>details{margin:4px 0 2px}
figure th,figure td{padding:4px 10px}
figure .scroll{max-height:320px;overflow:auto}
figure th:first-child{min-width:4.5em}
details{margin:10px 0}
summary{cursor:pointer;color:var(--accent);width:fit-content}
dl{display:grid;grid-template-columns:minmax(9em,max-content) 1fr;gap:6px 20px;margin:12px 0}
dt{font-weight:600}
dd{margin:0;max-width:72ch;grid-column:2}
dt .kind{font-weight:400}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px;overflow-x:auto;font-size:.8rem;
line-height:1.5;overflow-wrap:normal}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
footer{margin-top:3em;padding-bottom:40px;color:var(--quiet);font-size:.85rem}
@media(max-width:600px){header,main,footer{padding-left:16px;padding-right:16px}header{padding-top:24px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:10px;grid-column:1}th:first-child{max-width:8.5em}}
@page{size:A4 landscape;margin:12mm}
@media print{:root{color-scheme:light;--page:#fff;--card:#f5f6f8;--ink:#000;--quiet:#444;--line:#bbb;--accent:#000;--tint:#fff;
--better:#0a6b3d;--worse:#b3261e}body{font-size:10.5pt}header,main,footer{max-width:none;padding:0}
.scroll{overflow:visible;background:none}table{font-size:7.5pt}th,td{padding:4px 5px}thead th{min-width:0}
td{white-space:normal}td{overflow-wrap:anywhere}.interval,.kind,.gap{font-size:6.5pt}
th:first-child{position:static;min-width:6.5em}details:not([open]){display:none}h2{break-after:avoid}tr{break-inside:avoid}
.charts{grid-template-columns:1fr 1fr 1fr;gap:8px}figure{padding:6px}}
"""
