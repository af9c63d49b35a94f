import { Command } from 'commander'
import { proveDatabase } from '../../catalog/pinned.ts'
import { runDaemon } from '../../daemon/daemon.ts'
import {
  checkpointer,
  cuttingShort,
  evidenceKey,
  loadConfigured,
  openWhenAsked,
  pseudonymKey,
  type CliContext,
  openSigner,
  guard,
} from '../context.ts'

/** `daemon`: the sidecar. */
export function daemonCommand(context: CliContext): Command {
  return new Command('daemon')
    .description('run the rules on their schedule, with health endpoints, until stopped')
    .action(async () => {
      const config = context.config()
      const set = await loadConfigured(context)
      const signer = await openSigner(context)
      // One more, for health: a run may have all of its own at work.
      await using connection = openWhenAsked(context, set, { max: config.connections + 1 })
      await runDaemon({
        db: connection.db,
        ask: connection.ask,
        guard: async () =>
          guard(context, { db: connection.db, log: context.log(), sinks: 'asked' }),
        set,
        signer,
        evidenceKey: await evidenceKey(context),
        checkpointer: await checkpointer(
          context,
          { db: connection.db, signer, clock: context.clock, log: context.log() },
          ({ origin, size, root, note }) => {
            context
              .log()
              .info(
                { event: 'checkpoint', origin, size, root: root.toString('base64'), note },
                'checkpoint',
              )
          },
        ),
        pseudonyms: await pseudonymKey(context),
        clock: context.clock,
        log: context.log(),
        listen: config.listen,
        powerfulRole: config.powerfulRole,
        connections: config.connections,
        signal: context.stopSignal(),
        cut: cuttingShort(context, connection),
        reload: async () => {
          const reloaded = await loadConfigured(context)
          await proveDatabase(connection.db, reloaded)
          return reloaded
        },
        onReload: context.onReload,
      })
      context.log().info({}, 'stopped')
    })
}
