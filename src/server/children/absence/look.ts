/** `absence look`, which the server runs before it mounts. The states are in docs/absence.md. */
import type { Config } from '../../../config/config.ts';
import { sectionsOf } from '../sections.ts';
import { type AbsenceRequest, contact, hasEnded, recordOf } from './sections.ts';

/**
 * Looks at clients that were down when the mount went away. Any that runs now has run without the mount. Once the mount
 * is there, such a client looks like one that was started after it.
 */
export async function lookBeforeMount(config: Config, request: AbsenceRequest): Promise<void> {
  const record = await recordOf(config, request);
  const sections = await sectionsOf(config, request.configOf, (message) => request.say('warn', message));
  await Promise.all(
    sections.map(async (section) => {
      if (record.of(section.name).needs !== 'look') return;
      try {
        await contact(section.config);
      } catch (error) {
        if (hasEnded(section, error)) return;
      }
      await record.update(section.name, { needs: 'recover' });
    }),
  );
}
