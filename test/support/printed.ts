/** Runs `work` and collects what the process prints meanwhile, on both streams. */
export async function printedBy<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly printed: string }> {
  const chunks: string[] = []
  const restorers = [process.stdout, process.stderr].map((stream) => {
    const { write } = stream
    stream.write = (chunk: unknown) => {
      chunks.push(String(chunk))
      return true
    }
    return () => Object.assign(stream, { write })
  })
  try {
    return { result: await work(), printed: chunks.join('') }
  } finally {
    for (const restore of restorers) restore()
  }
}
