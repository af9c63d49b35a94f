/** Processor time of the server and of this process: what a busy machine does to a clock it does not do to these. */
import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts in hundredths of a second. */
const TICK_MS = 10

type Stat = { readonly parent: number; readonly own: number; readonly ended: number }

/** Milliseconds used by now, by this process and by those of the server, those that ended counted. */
export function cpuMs(postmaster: number): number {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  const stats = pids.flatMap((pid) => {
    const stat = statOf(pid)
    return stat !== null && (pid === postmaster || stat.parent === postmaster) ? [stat] : []
  })
  const { user, system } = process.cpuUsage()
  const ticks = stats.reduce((sum, { own, ended }) => sum + own + ended, 0)
  return TICK_MS * ticks + (user + system) / 1000
}

/** Null: it has ended meanwhile. */
function statOf(pid: number): Stat | null {
  try {
    // Behind the name, which may hold anything: state, parent, …, utime, stime, cutime, cstime.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const at = (index: number): number => fields[index] ?? 0
    return { parent: at(1), own: at(11) + at(12), ended: at(13) + at(14) }
  } catch {
    return null
  }
}
