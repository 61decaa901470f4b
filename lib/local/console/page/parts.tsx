import type { ComponentChildren, RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** Characters that have text shown in another order than it is read (Unicode UAX #9). */
const REORDERING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

function escapedCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** A value from anywhere, as JSON text. Nothing in it is ever markup, or looks like something else than it is. */
export function Json({ value, label }: { readonly value: unknown; readonly label: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard (WCAG 2.1.1)
    <section class="json" tabIndex={0} aria-label={label}>
      <pre>{JSON.stringify(value, null, 2).replaceAll(REORDERING, escapedCharacter)}</pre>
    </section>
  )
}

export type Tone = 'good' | 'bad' | 'warn' | 'plain'

/** A word of state. The word says it, the colour only repeats it. */
export function Pill({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return <span class={`pill ${tone}`}>{children}</span>
}

/** Names and values. */
export function Facts({ facts }: { readonly facts: Readonly<Record<string, ComponentChildren>> }) {
  return (
    <dl class="facts">
      {Object.entries(facts).map(([name, value]) =>
        value === undefined || value === '' ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  )
}

export function Panel({
  title,
  children,
  actions,
}: {
  readonly title: string
  readonly children: ComponentChildren
  readonly actions?: ComponentChildren
}) {
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  )
}

/** What went wrong, said to everybody, screen readers too. */
export function Problem({ error }: { readonly error: unknown }) {
  if (error === undefined) return null
  return (
    <p class="problem" role="alert">
      {error instanceof Error ? error.message : 'something went wrong'}
    </p>
  )
}

/** What `load` came to, and again when `reload` is called. */
export function useLoaded<T>(load: () => Promise<T>): {
  readonly value: T | undefined
  readonly error: unknown
  readonly reload: () => void
} {
  const [round, setRound] = useState(0)
  const [value, setValue] = useState<T>()
  const [error, setError] = useState<unknown>()
  useEffect(() => {
    let isCurrent = true
    load().then(
      (loaded) => {
        if (!isCurrent) return
        setValue(loaded)
        setError(undefined)
      },
      (problem: unknown) => isCurrent && setError(problem),
    )
    return () => {
      isCurrent = false
    }
  }, [round])
  return { value, error, reload: () => setRound((last) => last + 1) }
}

/** How wide an element is, so that a drawing in it can have text of the right size. */
export function useWidth(): readonly [RefObject<HTMLDivElement | null>, number] {
  const place = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    if (place.current === null) return
    const watch = new ResizeObserver(([entry]) => setWidth(entry?.contentRect.width ?? 0))
    watch.observe(place.current)
    return () => watch.disconnect()
  }, [])
  return [place, width]
}

/** The name of a construct, out of the one that CloudFormation makes of it and of its stack's. */
export function constructName(physicalName: string): string {
  return physicalName.replace(/^.*-(?:service|state)-/, '').replace(/[0-9A-F]{8}$/, '')
}

export function timeText(milliseconds: number): string {
  const time = new Date(milliseconds)
  return `${time.toLocaleTimeString('en-GB')}.${String(time.getMilliseconds()).padStart(3, '0')}`
}

export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}
