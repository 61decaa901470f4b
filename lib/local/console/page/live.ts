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

/** The live list, for as long as the page is open. */
export function useLive(): Live {
  const [live, setLive] = useState<Live>({ requests: [], total: 0, isConnected: false })
  useEffect(() => {
    const source = new EventSource('/console/api/feed')
    let isFirst = true
    source.onopen = () => {
      isFirst = true
    }
    source.onmessage = ({ data }: MessageEvent<string>) => {
      const { requests, skipped } = JSON.parse(data) as FeedMessage
      const newest = requests.toReversed()
      const begins = isFirst
      isFirst = false
      setLive((last) => {
        const known = begins ? [] : last.requests
        const total = (begins ? 0 : last.total) + requests.length + skipped
        return { requests: [...newest, ...known].slice(0, SHOWN), total, isConnected: true }
      })
    }
    source.onerror = () => setLive((last) => ({ ...last, isConnected: false }))
    return () => source.close()
  }, [])
  return live
}
