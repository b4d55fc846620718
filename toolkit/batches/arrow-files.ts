// Arrow IPC files in the cache: written whole or not at all, read by mapping them into memory. Not about where their
// rows come from.
import { existsSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type RecordBatch,
  RecordBatchFileWriter,
  RecordBatchReader,
  type Schema,
  type Table,
  tableFromIPC,
} from "apache-arrow";
import { DataError, dataError, messageOf } from "./errors.ts";
import { removeLeftovers, temporaryName, withLock } from "./files.ts";

/** Writes batches as they come, so that memory holds one of them. Returns the rows written. */
export async function writeArrow(
  path: string,
  schema: Schema,
  batches: AsyncIterable<RecordBatch> | Iterable<RecordBatch>,
): Promise<number> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  const writer = new RecordBatchFileWriter();
  writer.reset(undefined, schema);
  const chunks = writer[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const file = await open(temporary, "wx");
  let rows = 0;
  try {
    const written = (async (): Promise<void> => {
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) await file.write(next.value);
    })();
    try {
      for await (const batch of batches) {
        rows += batch.numRows;
        writer.write(batch);
        // Lets the chunks reach the disk before the next batch is made.
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      writer.finish();
      await written;
    }
    await file.sync();
    await file.close();
    await rename(temporary, path);
    return rows;
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The table of an Arrow file (or stream file), its columns lying in the mapped file. @throws DataError naming the file. */
export function mapArrow(path: string): Table {
  if (Bun.file(path).size === 0) throw dataError({ file: path }, "the file is empty; expected Arrow IPC.");
  try {
    const table = tableFromIPC(Bun.mmap(path));
    if (table.schema.fields.length === 0) throw new Error("it has no columns");
    return table;
  } catch (cause) {
    throw dataError({ file: path }, `not a readable Arrow IPC file: ${messageOf(cause)}.`, { cause });
  }
}

/**
 * The table of a cache file, which `make` writes where it is absent, or unreadable (a disk that filled up, a file that
 * was tampered with): a cache is never a reason to fail. Other processes that want the same file wait.
 */
export async function cachedArrow(
  path: string,
  make: () => Promise<unknown>,
  signal?: AbortSignal | undefined,
): Promise<{ readonly table: Table; readonly made: boolean }> {
  const present = readable(path);
  if (present) return { table: present, made: false };
  return withLock(
    path,
    async () => {
      const meanwhile = readable(path);
      if (meanwhile) return { table: meanwhile, made: false };
      await removeLeftovers(path);
      await make();
      return { table: mapArrow(path), made: true };
    },
    { signal },
  );
}

function readable(path: string): Table | null {
  if (!existsSync(path)) return null;
  try {
    return mapArrow(path);
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}

/** Record batches of a foreign Arrow file. */
export function* readArrow(path: string): Generator<RecordBatch> {
  yield* RecordBatchReader.from(Bun.mmap(path)) as Iterable<RecordBatch>;
}
