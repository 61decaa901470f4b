import { type ComponentChildren, render } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Exchanges } from './exchanges.tsx'
import { Iam } from './iam.tsx'
import { Keys } from './keys.tsx'
import { type LiveList, useLive } from './live.ts'
import { OnCall } from './on-call.tsx'
import { Policy } from './policy.tsx'
import { useTheme } from './theme.ts'
import { TryIt } from './try-it.tsx'

interface Section {
  readonly name: string
  readonly title: string
  readonly show: (about: { readonly live: LiveList; readonly id: string }) => ComponentChildren
}

/** By what stands in the address after `#/`. The first is where one begins. */
const SECTIONS: Readonly<Record<string, Section>> = {
  exchanges: {
    name: 'Exchanges',
    title: 'Exchanges, live',
    show: ({ live, id }) => <Exchanges live={live} selected={id} />,
  },
  try: { name: 'Try it', title: 'Try it', show: () => <TryIt /> },
  policy: { name: 'Policy', title: 'Policy', show: () => <Policy /> },
  keys: { name: 'Keys', title: 'Signing keys', show: () => <Keys /> },
  'on-call': { name: 'On-call', title: 'On call', show: () => <OnCall /> },
  iam: { name: 'IAM', title: 'What each function may do', show: () => <Iam /> },
}

function useRoute(): { readonly section: string; readonly id: string } {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const follow = () => setHash(location.hash)
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  const [, section = '', id = ''] = hash.split('/')
  return { section: Object.hasOwn(SECTIONS, section) ? section : 'exchanges', id }
}

function App() {
  const { section, id } = useRoute()
  const live = useLive()
  const [theme, nextTheme] = useTheme()
  const heading = useRef<HTMLHeadingElement>(null)
  const isFirst = useRef(true)
  const shown = SECTIONS[section]
  useEffect(() => {
    document.title = `${shown?.name} · token-broker console`
    if (!isFirst.current) heading.current?.focus()
    isFirst.current = false
  }, [section])
  return (
    <>
      <button type="button" class="skip" onClick={() => heading.current?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <strong>token-broker</strong>
        <nav aria-label="Sections">
          {Object.entries(SECTIONS).map(([route, { name }]) => (
            <a key={route} href={`#/${route}`} aria-current={route === section ? 'page' : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <button type="button" class="theme" onClick={nextTheme}>
          Theme: {theme}
        </button>
      </header>
      <main id="main">
        <h1 ref={heading} tabIndex={-1}>
          {shown?.title}
        </h1>
        {shown?.show({ live, id })}
      </main>
    </>
  )
}

const root = document.getElementById('app')
if (root !== null) render(<App />, root)
