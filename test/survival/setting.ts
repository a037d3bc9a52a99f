/** `npm run test:survival` sets SURVIVAL=whole: all file systems, the full numbers and times. `npm test` runs a short form. */
export const WHOLE = process.env['SURVIVAL'] === 'whole';
