/** How a certificate looks, on a screen and on A4. */
export const STYLE = `
@page { size: A4; margin: 18mm 17mm 20mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #555; } }
* { box-sizing: border-box; }
html { font: 10.5pt/1.45 "Liberation Sans", Arial, Helvetica, "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff; }
body { margin: 0; }
main { max-width: 176mm; margin: 0 auto; padding: 8mm 4mm; }
h1 { font-size: 21pt; line-height: 1.15; margin: 0 0 4mm; font-weight: 700; }
h2 { font-size: 11.5pt; margin: 7mm 0 2mm; padding-bottom: 1mm; border-bottom: .4pt solid #888; break-after: avoid; }
h3 { font-size: 9.5pt; margin: 3.5mm 0 1mm; break-after: avoid; overflow-wrap: anywhere; }
p { margin: 0 0 2mm; }
code, pre { font-family: "Liberation Mono", "DejaVu Sans Mono", Consolas, monospace; font-size: 8.6pt; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; margin: 0 0 2mm; padding: 2mm 2.5mm; background: #f4f4f2; border: .4pt solid #ccc; }
small { font-size: 8pt; color: #444; }
.verdict { margin: 0 0 5mm; padding: 3mm 4mm; border-left: 3pt solid; }
.good { border-color: #1b6e3c; background: #eef6f0; }
.weak { border-color: #9a5b00; background: #fbf3e6; }
dl { margin: 0; }
dl div { display: grid; grid-template-columns: 52mm 1fr; gap: 4mm; padding: 1mm 0; border-bottom: .3pt solid #ddd; break-inside: avoid; }
dt { color: #444; }
dd { margin: 0; overflow-wrap: anywhere; }
dl + p { margin-top: 3mm; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 1.2mm 2mm 1.2mm 0; border-bottom: .3pt solid #ddd; }
time { white-space: nowrap; }
thead { display: table-header-group; }
thead th { font-size: 8.5pt; color: #444; border-bottom-color: #888; }
tfoot { display: table-row-group; }
tr { break-inside: avoid; }
.number { text-align: right; padding-right: 5mm; font-variant-numeric: tabular-nums; }
ul { margin: 0; padding-left: 5mm; }
.signatures { break-inside: avoid; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 10mm; }
.line { height: 16mm; border-bottom: .6pt solid #1a1a1a; margin-bottom: 1mm; }
.annex { break-before: page; }
@media print { main { max-width: none; padding: 0; } * { print-color-adjust: exact; } }
`
