import type { ServerResponse } from 'node:http'
import type { FeedMessage, RequestSummary } from './wire.ts'

/** Lines that a page sees when it opens. */
const REMEMBERED = 200
/** One message in this time at most, so that a burst costs the page as little as a trickle. */
const BATCH_MILLISECONDS = 100
/** Tells a page whose broker has gone from one where nothing happens. */
const HEARTBEAT_MILLISECONDS = 15_000
const MOST_PAGES = 8
/** A page that does not read is dropped; it connects again by itself. */
const MOST_UNREAD_BYTES = 1024 * 1024

/** The live list, as server-sent events. */
export class Feed {
  readonly #remembered: RequestSummary[] = []
  readonly #pages = new Set<ServerResponse>()
  #waiting: RequestSummary[] = []
  #total = 0
  #batch: NodeJS.Timeout | undefined

  add(request: RequestSummary): void {
    this.#total += 1
    this.#remembered.push(request)
    if (this.#remembered.length > REMEMBERED) this.#remembered.shift()
    if (this.#pages.size === 0) return
    this.#waiting.push(request)
    if (this.#waiting.length > REMEMBERED) this.#waiting.shift()
    if (this.#batch === undefined) this.#batch = setTimeout(() => this.#send(), BATCH_MILLISECONDS).unref()
  }

  /** Answers with the list so far, and then with what comes. `false` if too many pages are open. */
  open(response: ServerResponse): boolean {
    if (this.#pages.size >= MOST_PAGES) return false
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    if (response.req.method === 'HEAD') {
      response.end()
      return true
    }
    this.#pages.add(response)
    const heartbeat = setInterval(() => response.write(': alive\n\n'), HEARTBEAT_MILLISECONDS).unref()
    response.on('close', () => {
      clearInterval(heartbeat)
      this.#pages.delete(response)
    })
    response.write(eventOf({ requests: this.#remembered, total: this.#total }))
    return true
  }

  #send(): void {
    this.#batch = undefined
    const event = eventOf({ requests: this.#waiting, total: this.#total })
    this.#waiting = []
    for (const page of this.#pages) {
      if (page.writableLength > MOST_UNREAD_BYTES) page.destroy()
      else page.write(event)
    }
  }
}

function eventOf(message: FeedMessage): string {
  return `data: ${JSON.stringify(message)}\n\n`
}
