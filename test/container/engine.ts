import { spawnSync } from 'node:child_process'

/** True if a container engine answers here. */
export const engine = spawnSync('docker', ['info'], { stdio: 'ignore' }).status === 0

if (!engine) {
  process.stderr.write(
    'no container engine answers (docker info): the container scenarios are left out\n',
  )
}
