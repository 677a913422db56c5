import type { DemoFile } from './mr-image.js'

/** Bytes of the report; encrypted it has the size of the file in the paper's latency table. */
export const paperReportSize = 63_750

const lines = [
  'LABORATORY REPORT',
  'Example for the demonstration of emrchain: no person, no laboratory.',
  '',
  'Patient: EXAMPLE PATIENT          Ordered by: EXAMPLE PHYSICIAN',
  'Specimen: venous blood            Collected: 2020-09-02 08:00',
  '',
  'Test                    Result    Unit         Reference',
  'Hemoglobin              14.1      g/dL         12.0 - 16.0',
  'Hematocrit              42        %            36 - 46',
  'Leukocytes              6.3       10^9/L       4.0 - 10.0',
  'Platelets               251       10^9/L       150 - 400',
  'Sodium                  140       mmol/L       135 - 145',
  'Potassium               4.2       mmol/L       3.5 - 5.1',
  'Creatinine              0.9       mg/dL        0.6 - 1.1',
  'Glucose, fasting        92        mg/dL        70 - 99',
  'Alanine transaminase    24        U/L          < 35',
  'C-reactive protein      1.2       mg/L         < 5.0',
]

const escapeText = (text: string): string => text.replace(/[\\()]/g, '\\$&')

const stream = (contents: string): string => `<< /Length ${contents.length} >>\nstream\n${contents}\nendstream`

/** A PDF 1.4 file of one page, with a stream of `padding` bytes that no page shows. All of it is ASCII. */
const pdf = (padding: number): string => {
  const page = ['BT /F1 10 Tf 14 TL 50 790 Td', ...lines.map((line) => `(${escapeText(line)}) Tj T*`), 'ET'].join('\n')
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 4 0 R >> >> /Contents 5 0 R >>',
    '<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>',
    stream(page),
    stream('.'.repeat(padding)),
    '<< /Title (Laboratory report) /Creator (emrchain) >>',
  ]
  let text = '%PDF-1.4\n'
  const offsets = objects.map((object, at) => {
    const offset = text.length
    text += `${at + 1} 0 obj\n${object}\nendobj\n`
    return offset
  })
  const rows = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')
  const size = objects.length + 1
  const trailer = `trailer\n<< /Size ${size} /Root 1 0 R /Info 7 0 R >>\nstartxref\n${text.length}\n%%EOF\n`
  return `${text}xref\n0 ${size}\n0000000000 65535 f \n${rows}${trailer}`
}

/**
 * The report of the paper's latency table: a PDF of one page, the same bytes every time. It has 63,750 bytes, so
 * that its Cobblestone-256 ciphertext has 63,870 and IPFS reports the size 63,884, as the paper prints it.
 */
export const paperReport = (): DemoFile => {
  // The digits of the lengths grow with the padding, so the second guess is not yet sure to be the last.
  let padding = 0
  let text = pdf(padding)
  while (text.length !== paperReportSize) {
    padding += paperReportSize - text.length
    text = pdf(padding)
  }
  return {
    bytes: Buffer.from(text, 'latin1'),
    fileName: 'laboratory-report.pdf',
    source: 'An invented laboratory report, made by emrchain in the size of the report that the paper measured.',
  }
}
