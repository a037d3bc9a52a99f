/** Deluge's labels: those of its Label plugin, which is enabled where a label is configured. */
import { AutotorrentError } from '../../errors.ts';
import { quoted } from '../wire/exchange.ts';
import { ask, type DelugeRpc } from './rpc.ts';

const PLUGIN = 'Label';

/** The configured label as the plugin takes it; undefined where none is. @throws AutotorrentError('CONFIG') */
export function labelOf(configured: string | undefined): string | undefined {
  if (configured === undefined || configured === '') return undefined;
  const label = configured
    .toLowerCase()
    .replaceAll(/[^a-z0-9_.-]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  if (label !== '') return label;
  throw new AutotorrentError('CONFIG', `client: label: Deluge cannot have the label ${quoted(configured)}`, {
    hint: 'Deluge labels are lower-case letters, digits, `_`, `-` and `.`; other characters become `-`.',
  });
}

export class DelugeLabel {
  readonly name: string;
  readonly #rpc: DelugeRpc;
  #ready: Promise<void> | undefined;

  constructor(rpc: DelugeRpc, name: string) {
    this.#rpc = rpc;
    this.name = name;
  }

  /** Enables the plugin and makes the label, once; after a failure the next call tries again. */
  async prepare(): Promise<void> {
    this.#ready ??= this.#make();
    try {
      await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw error;
    }
  }

  async #make(): Promise<void> {
    const enabled = await ask(this.#rpc, 'core.get_enabled_plugins');
    if (!Array.isArray(enabled) || !enabled.includes(PLUGIN)) {
      await ask(this.#rpc, 'core.enable_plugin', PLUGIN);
      await this.#rpc.learnMethods();
    }
    if (await this.#exists()) return;
    try {
      await ask(this.#rpc, 'label.add', this.name);
    } catch (error) {
      // Another command may have made it meanwhile.
      if (!(await this.#exists())) throw error;
    }
  }

  async #exists(): Promise<boolean> {
    const labels = await ask(this.#rpc, 'label.get_labels');
    return Array.isArray(labels) && labels.includes(this.name);
  }
}
