import { useEffect, useState } from 'preact/hooks'

export type Theme = 'system' | 'light' | 'dark'

const NEXT: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' }
const KEY = 'theme'

function stored(): Theme {
  const value = localStorage.getItem(KEY)
  return value === 'light' || value === 'dark' ? value : 'system'
}

/** How the page looks: as the system does, until somebody says otherwise. */
export function useTheme(): readonly [Theme, () => void] {
  const [theme, setTheme] = useState(stored)
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme
    localStorage.setItem(KEY, theme)
  }, [theme])
  return [theme, () => setTheme((last) => NEXT[last])]
}

/** A number that changes whenever the colours of the page do: for what is painted, and does not follow by itself. */
export function useColours(): number {
  const [round, setRound] = useState(0)
  useEffect(() => {
    const changed = () => setRound((last) => last + 1)
    const system = matchMedia('(prefers-color-scheme: dark)')
    const chosen = new MutationObserver(changed)
    system.addEventListener('change', changed)
    chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => {
      system.removeEventListener('change', changed)
      chosen.disconnect()
    }
  }, [])
  return round
}
