/** Reads a zip archive strictly: stored files alone, one behind the other without a gap, all sizes said twice alike.

Whatever an archive could hide from one reader and show to another is refused: a second file of one name, overlapping
files, bytes between files, a local header that differs from the directory, compression, encryption, comments.
*/
import { FormatFault, type Bytes } from './bytes';

export const ARCHIVE_BYTES_MAX = 1 << 30;
const FILES_MAX = 1 << 18;
const NAME_BYTES_MAX = 255;
const [LOCAL, DIRECTORY, END, END64, LOCATOR64, DESCRIPTOR] = [0x04034b50, 0x02014b50, 0x06054b50, 0x06064b50, 0x07064b50, 0x08074b50] as const;
const [LOCAL_BYTES, DIRECTORY_BYTES, END_BYTES, LOCATOR64_BYTES, END64_BYTES] = [30, 46, 22, 20, 56] as const;
const STREAMED = 8; // sizes follow the file
const UTF8 = 0x800;
const FULL16 = 0xffff;
const FULL32 = 0xffffffff;

export interface Stored {
  name: string;
  /** Where its bytes begin, and how many they are. */
  at: number;
  size: number;
  crc: number;
}

interface Listed extends Stored {
  header: number;
  flags: number;
}

/** The files of an archive held in memory. */
export class Archive {
  readonly files: ReadonlyMap<string, Stored>;
  private readonly view: DataView;

  constructor(private readonly data: Bytes) {
    if (data.length > ARCHIVE_BYTES_MAX) throw new FormatFault(`archive of more than ${ARCHIVE_BYTES_MAX} bytes`);
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const { from, to, count } = this.directory();
    this.files = this.placed(this.listed(from, to, count), from);
  }

  /** The bytes of a file, and whether they have the checksum that the archive says; null when there is none. */
  read(name: string, bytes_max: number): { data: Bytes; sound: boolean } | null {
    const file = this.files.get(name);
    if (!file) return null;
    if (file.size > bytes_max) throw new FormatFault(`${name} is larger than ${bytes_max} bytes`);
    const data = this.data.subarray(file.at, file.at + file.size);
    return { data, sound: crc32(data) === file.crc };
  }

  /** Where the directory stands, by the records at the end. */
  private directory(): { from: number; to: number; count: number } {
    const end = this.data.length - END_BYTES;
    if (end < 0 || this.u32(end) !== END) throw new FormatFault('no zip archive, or bytes after its end');
    const [disk, disk2, here, count, size, from, comment] = [this.u16(end + 4), this.u16(end + 6), this.u16(end + 8), this.u16(end + 10), this.u32(end + 12), this.u32(end + 16), this.u16(end + 20)];
    if (disk || disk2 || here !== count || comment) throw new FormatFault('archive in several parts or with a comment');
    const found = count === FULL16 || size === FULL32 || from === FULL32 ? this.directory64(end) : { from, to: end, count };
    if (found.from + (count === FULL16 || size === FULL32 ? found.to - found.from : size) !== found.to) throw new FormatFault("the archive's directory is not where its end says");
    if (found.count > FILES_MAX) throw new FormatFault(`archive of more than ${FILES_MAX} files`);
    return found;
  }

  private directory64(end: number): { from: number; to: number; count: number } {
    const locator = end - LOCATOR64_BYTES;
    if (locator < END64_BYTES || this.u32(locator) !== LOCATOR64 || this.u32(locator + 4) || this.u32(locator + 16) !== 1) throw new FormatFault('archive without the record of its many files');
    const at = this.u64(locator + 8);
    if (at !== locator - END64_BYTES || this.u32(at) !== END64 || this.u64(at + 4) !== END64_BYTES - 12 || this.u32(at + 16) || this.u32(at + 20)) throw new FormatFault('record of many files in another form');
    const [here, count, size, from] = [this.u64(at + 24), this.u64(at + 32), this.u64(at + 40), this.u64(at + 48)];
    if (here !== count || from + size !== at) throw new FormatFault("the archive's directory is not where its end says");
    return { from, to: at, count };
  }

  private listed(from: number, to: number, count: number): Listed[] {
    const found: Listed[] = [];
    let at = from;
    for (let n = 0; n < count; n++) {
      if (at + DIRECTORY_BYTES > to || this.u32(at) !== DIRECTORY) throw new FormatFault("the archive's directory ends early");
      const [flags, method, crc, packed, size] = [this.u16(at + 8), this.u16(at + 10), this.u32(at + 16), this.u32(at + 20), this.u32(at + 24)];
      const [nameBytes, extra, comment, disk, header] = [this.u16(at + 28), this.u16(at + 30), this.u16(at + 32), this.u16(at + 34), this.u32(at + 42)];
      const next = at + DIRECTORY_BYTES + nameBytes + extra;
      if (next > to || comment || disk) throw new FormatFault('file of an archive in another form');
      const name = this.name(at + DIRECTORY_BYTES, nameBytes);
      if (method || flags & ~(STREAMED | UTF8)) throw new FormatFault(`${name} is compressed or encrypted`);
      if (packed !== size || size === FULL32 || header === FULL32) throw new FormatFault(`${name} has two sizes, or one too large`);
      found.push({ name, at: 0, size, crc, header, flags });
      at = next;
    }
    if (at !== to) throw new FormatFault("bytes in the archive's directory that are no file");
    return found;
  }

  /** Checks every local header; the files have to fill the archive from its first byte to the directory. */
  private placed(listed: Listed[], to: number): Map<string, Stored> {
    const files = new Map<string, Stored>();
    let due = 0;
    for (const file of [...listed].sort((a, b) => a.header - b.header)) {
      if (file.header !== due) throw new FormatFault(`bytes that belong to no file, or to two, before ${file.name}`);
      if (due + LOCAL_BYTES > to || this.u32(due) !== LOCAL) throw new FormatFault(`${file.name} is not where the directory says`);
      const [flags, method, crc, packed, size, nameBytes, extra] = [this.u16(due + 6), this.u16(due + 8), this.u32(due + 14), this.u32(due + 18), this.u32(due + 22), this.u16(due + 26), this.u16(due + 28)];
      const at = due + LOCAL_BYTES + nameBytes + extra;
      if (at + file.size > to || this.name(due + LOCAL_BYTES, nameBytes) !== file.name) throw new FormatFault(`${file.name} is not where the directory says`);
      const later = (flags & STREAMED) !== 0;
      const alike = crc === file.crc && packed === file.size && size === file.size;
      if (flags !== file.flags || method || !(alike || (later && !crc && !packed && !size))) throw new FormatFault(`${file.name} differs from the directory`);
      due = at + file.size;
      if (later) due = this.descriptor(due, file, to);
      if (files.has(file.name)) throw new FormatFault(`${file.name} is in the archive twice`);
      files.set(file.name, { name: file.name, at, size: file.size, crc: file.crc });
    }
    if (due !== to) throw new FormatFault('bytes before the directory that belong to no file');
    return files;
  }

  private descriptor(at: number, file: Listed, to: number): number {
    const end = at + 16;
    if (end > to || this.u32(at) !== DESCRIPTOR || this.u32(at + 4) !== file.crc || this.u32(at + 8) !== file.size || this.u32(at + 12) !== file.size) throw new FormatFault(`${file.name} differs from the directory`);
    return end;
  }

  private name(at: number, count: number): string {
    if (!count || count > NAME_BYTES_MAX) throw new FormatFault('file without a name, or with a very long one');
    const name = String.fromCharCode(...this.data.subarray(at, at + count));
    if (!/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*\/?$/.test(name) || name.split('/').includes('..')) throw new FormatFault('file of a name that no bundle has');
    return name;
  }

  private u16(at: number): number {
    return this.view.getUint16(at, true);
  }

  private u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  private u64(at: number): number {
    const number = Number(this.view.getBigUint64(at, true));
    if (!Number.isSafeInteger(number)) throw new FormatFault('archive with a number beyond all sizes');
    return number;
  }
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

/** CRC-32 as zip has it. */
export function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < data.length; at++) crc = TABLE[(crc ^ data[at]!) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
