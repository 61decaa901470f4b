import { useEffect, useState } from 'preact/hooks'
import type { FeedMessage, RequestSummary } from '../wire.ts'

/** Lines in the list: enough to look back, few enough to draw ten times a second. */
const SHOWN = 150

export interface Live {
  /** Newest first. */
  readonly requests: readonly RequestSummary[]
  readonly total: number
  readonly isConnected: boolean
}

/** The list, and whether it is with what the probe sends each minute. */
export interface LiveList extends Live {
  readonly isWithProbe: boolean
  showProbe(isWithProbe: boolean): void
}

const NOTHING: Live = { requests: [], total: 0, isConnected: false }

/** A browser tries again by itself, unless it got another answer: a broker that is not up again yet gives one. */
const PATIENCE_MILLISECONDS = 1000

/** The live list, for as long as the page is open. */
export function useLive(): LiveList {
  const [live, setLive] = useState(NOTHING)
  const [isWithProbe, showProbe] = useState(false)
  const name = isWithProbe ? 'feed-with-probe' : 'feed'
  useEffect(() => whileVisible(() => followList(name, setLive)), [name])
  return { ...live, isWithProbe, showProbe }
}

/** Browsers open few connections to one host: a tab that nobody looks at holds none. Returns what ends it. */
function whileVisible(begin: () => () => void): () => void {
  let end: (() => void) | undefined
  const follow = () => {
    end?.()
    end = document.hidden ? undefined : begin()
  }
  follow()
  document.addEventListener('visibilitychange', follow)
  return () => {
    document.removeEventListener('visibilitychange', follow)
    end?.()
  }
}

function followList(name: string, setLive: (next: (last: Live) => Live) => void): () => void {
  let source: EventSource | undefined
  let again: ReturnType<typeof setTimeout> | undefined
  const open = () => {
    const opened = new EventSource(`/console/api/${name}`)
    source = opened
    let isFirst = true
    opened.onopen = () => {
      isFirst = true
    }
    opened.onmessage = ({ data }: MessageEvent<string>) => {
      const message = JSON.parse(data) as FeedMessage
      const begins = isFirst
      isFirst = false
      setLive((last) => liveWith(begins ? [] : last.requests, message))
    }
    opened.onerror = () => {
      setLive((last) => ({ ...last, isConnected: false }))
      if (opened.readyState === EventSource.CLOSED) again = setTimeout(open, PATIENCE_MILLISECONDS)
    }
  }
  open()
  return () => {
    clearTimeout(again)
    source?.close()
  }
}

function liveWith(known: Live['requests'], { requests, total }: FeedMessage): Live {
  return { requests: [...requests.toReversed(), ...known].slice(0, SHOWN), total, isConnected: true }
}
