/** Imported before a program that is measured: says at its end what it took. */
process.on('exit', () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
  const cpuMs = Math.round((userCPUTime + systemCPUTime) / 1000)
  process.stderr.write(
    `\nmeasured ${JSON.stringify({ memoryMb: Math.round(maxRSS / 1024), cpuMs })}\n`,
  )
})
