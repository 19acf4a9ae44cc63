"""The look of a report: system fonts, one column, light and dark, screen and print."""

from __future__ import annotations

import re

from sim.report.svg import COLOURS, DARK_COLOURS

_LIGHT, _DARK = (";".join(f"--c{place}:{shade}" for place, shade in enumerate(each)) for each in (COLOURS, DARK_COLOURS))
_ON_LIGHT = f"""color-scheme:light;--page:#fff;--card:#f5f6f8;--ink:#1d2129;--quiet:#565e6c;--line:#d9dde3;--accent:#0b5cad;
--better:#0a6b3d;--worse:#b3261e;--tint:#eef4fb;--shade:#aeb6c2;--faint:#8b93a0;{_LIGHT}"""
_ON_DARK = f"""color-scheme:dark;--page:#14171c;--card:#1d2229;--ink:#e8eaed;--quiet:#a8b0bd;--line:#353c46;
--accent:#7cb7ff;--better:#6fd39b;--worse:#ff9a90;--tint:#18263a;--shade:#59626f;--faint:#7d8694;{_DARK}"""
# What tables and the memo look like, on a page of ours or of others.
_PARTS = """\
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
.text thead th{text-align:left;overflow-wrap:anywhere}
.text th:first-child{min-width:min(12em,40vw);max-width:20em}
td.name{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:8em;max-width:16em}
.value{display:block;font-weight:600}
.plain .value{font-weight:400}
.interval,.kind{display:block;color:var(--quiet);font-size:.8rem;font-weight:400}
.gap{display:block;font-size:.8rem}
.better{color:var(--better)}
.worse{color:var(--worse)}
.bar{display:block;position:relative;height:7px;margin:3px 0 2px;min-width:56px;
background:linear-gradient(var(--line),var(--line)) 0 50%/100% 1px no-repeat}
.bar::before{content:"";position:absolute;top:1px;bottom:1px;left:var(--l);width:max(var(--w),1px);background:var(--accent);
opacity:.45;print-color-adjust:exact}
.bar::after{content:"";position:absolute;top:0;bottom:0;left:calc(var(--p) - 1px);width:2px;background:var(--accent);
print-color-adjust:exact;box-shadow:none}
.change td,.change th{border-top:2px solid var(--accent)}
"""
_CSS = (
    f"""
:root{{{_ON_LIGHT}}}
@media(prefers-color-scheme:dark){{:root{{{_ON_DARK}}}}}
"""
    + """\
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
PARTS.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));gap:16px;align-items:start;
margin:16px 0}
.charts.wide{grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),560px))}
figure{margin:0;min-width:0;border:1px solid var(--line);border-radius:8px;padding:12px 14px 8px;
break-inside:avoid}
figcaption{font-weight:600;font-size:.95rem;margin:0 0 4px}
svg{display:block;width:100%;height:auto}
svg *{stroke-linejoin:round;stroke-linecap:butt}
svg text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif!important}
figure ol.events{font-size:.85rem;margin:6px 0;padding-left:1.2em}
figure details{font-size:.85rem}
.plot{position:relative}
.plot svg:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.mark{position:absolute;top:10%;bottom:18%;width:0;border-left:1px dashed var(--quiet);pointer-events:none}
.mark.point{width:16px;height:16px;margin:-8px;bottom:auto;border:2px solid var(--ink);border-radius:50%}
.mark[hidden],.tip[hidden]{display:none}
.tip{position:absolute;top:0;left:4px;max-width:75%;padding:6px 10px;background:var(--card);color:var(--ink);
border:1px solid var(--quiet);border-radius:6px;font-size:.78rem;line-height:1.4;pointer-events:none;z-index:2}
.tip.right{left:auto;right:4px}
.tip b,.tip span{display:block}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 20px;padding:0;margin:8px 0 0;font-size:.85rem;color:var(--quiet)}
.legend i{display:inline-block;width:26px;height:12px;margin-right:7px;vertical-align:-1px;color:var(--c0)}
.legend .line,.legend .dotted{background:linear-gradient(currentColor,currentColor) 0 50%/100% 2.5px no-repeat}
.legend .dotted{background:radial-gradient(circle,currentColor 3.5px,transparent 4px),
linear-gradient(currentColor,currentColor) 0 50%/100% 2px no-repeat}
.legend .half{background:color-mix(in srgb,currentColor 40%,transparent)}
.legend .most,.legend .band{background:color-mix(in srgb,currentColor 17%,transparent)}
.legend .dashes{color:var(--quiet);background:linear-gradient(90deg,currentColor 60%,transparent 0) 0 50%/9px 2px repeat-x}
.legend .dots{color:var(--quiet);background:linear-gradient(90deg,currentColor 50%,transparent 0) 0 50%/4px 2px repeat-x}
.legend .other{background:linear-gradient(var(--faint),var(--faint)) 0 50%/100% 1px no-repeat}
.legend .point,.legend .hollow{width:12px;border:2px solid currentColor;border-radius:50%;background:currentColor}
.legend .hollow{color:var(--faint);background:none}
thead button{all:unset;cursor:pointer;text-decoration:underline dotted var(--faint) 1px;text-underline-offset:3px}
thead button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
th[aria-sort]{color:var(--accent)}
th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
.choose div{display:flex;flex-wrap:wrap;gap:2px 18px;font-size:.85rem;margin:6px 0}
.choose label{display:inline-flex;gap:6px;align-items:baseline}
.hint{font-size:.8rem;color:var(--quiet);margin:-6px 0 12px}
.scroll:not(.wide)+.hint{display:none}
figure>details{margin:4px 0 2px}
figure th,figure td{padding:4px 10px}
figure .scroll{max-height:320px;overflow:auto}
figure th:first-child{min-width:4.5em}
details{margin:10px 0}
summary{cursor:pointer;color:var(--accent);width:fit-content}
dl{display:grid;grid-template-columns:minmax(9em,max-content) 1fr;gap:6px 20px;margin:12px 0}
dt{font-weight:600}
dd{margin:0;max-width:72ch;grid-column:2}
.told dd{max-width:100ch}
dt .kind{font-weight:400}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px;overflow-x:auto;font-size:.8rem;
line-height:1.5;overflow-wrap:normal}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
footer{margin-top:3em;padding-bottom:40px;color:var(--quiet);font-size:.85rem}
@media(max-width:600px){header,main,footer{padding-left:16px;padding-right:16px}header{padding-top:24px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:10px;grid-column:1}th:first-child{max-width:8.5em}}
@page{size:A4 landscape;margin:12mm}
@media print{:root{color-scheme:light;--page:#fff;--card:#f5f6f8;--ink:#000;--quiet:#444;--line:#bbb;--accent:#000;--tint:#fff;
--better:#0a6b3d;--worse:#b3261e;--shade:#aeb6c2;--faint:#8b93a0;LIGHT}body{font-size:10.5pt}header,main,footer{max-width:none;padding:0}
.scroll{overflow:visible;background:none}table{font-size:7.5pt}th,td{padding:4px 5px}thead th{min-width:0}
td{white-space:normal}td{overflow-wrap:anywhere}.interval,.kind,.gap{font-size:6.5pt}
th:first-child{position:static;min-width:6.5em}details:not([open]):not(.printed){display:none}
.printed::details-content{content-visibility:visible;display:block;block-size:auto}pre{white-space:pre-wrap}
h2,h3,h2+p,.legend,figcaption{break-after:avoid}tr,dd,.verdict{break-inside:avoid}section.figures{break-before:page}
.hint,.tip,.mark,.choose{display:none}.bar{min-width:20px}
.charts{grid-template-columns:1fr 1fr 1fr;gap:8px}figure{padding:6px}}
"""
)

CSS = _CSS.replace("PARTS", _PARTS).replace("LIGHT", _LIGHT)

SCOPE = "sim-results"
"""The class of a part of the report on a page of others, such as a notebook."""
# How the pages that show notebooks say that they are dark or light; else it is as the browser says.
_SAY_DARK = ('[data-jp-theme-light="false"]', '[data-theme="dark"]', '[theme="dark"]', ".vscode-dark")
_SAY_LIGHT = ('[data-jp-theme-light="true"]', '[data-theme="light"]', '[theme="light"]', ".vscode-light")


def _scoped() -> str:
    """The looks of the parts that touch nothing else of a page, and that its own looks do not touch."""
    scope = f".{SCOPE}.{SCOPE}"
    own = re.sub(
        r"([^{}]+)(\{[^{}]*\})",
        lambda rule: ",".join(f"{scope} {one.strip()}" for one in rule[1].split(",")) + rule[2] + "\n",
        _PARTS,
    )
    light, dark = (",".join(f"{each} {scope}" for each in says) for says in (_SAY_LIGHT, _SAY_DARK))
    return f"""
{scope}{{{_ON_LIGHT}}}
@media(prefers-color-scheme:dark){{{scope}{{{_ON_DARK}}}}}
{light}{{{_ON_LIGHT}}}
{dark}{{{_ON_DARK}}}
{scope}{{box-sizing:border-box;max-width:1300px;padding:4px 16px 12px;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}}
{scope} *{{box-sizing:border-box;color:inherit}}
{scope} :is(table,thead,tbody,tr,td):nth-child(n){{background:none}}
{scope} :is(p,li){{max-width:80ch}}
{scope} table{{table-layout:auto;margin:0}}
{scope} h2{{font-size:1.1rem;margin:1.2em 0 .4em}}
{scope} summary{{cursor:pointer;color:var(--accent);width:fit-content}}
{own}"""


SCOPED_CSS = _scoped()
"""The looks of parts of the report inside an element of class `SCOPE`."""
