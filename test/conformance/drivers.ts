/** The drivers that a mount can have: every test of a mount runs with each. */
export const DRIVERS = ['fuse-native', 'kernel'] as const;
export type DriverName = (typeof DRIVERS)[number];
