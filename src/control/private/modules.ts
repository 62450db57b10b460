/** What only private tunnels need. It is loaded together, when a tunnel is private. */
export { Configuration } from './configuration.js'
export { PrivateSide } from './private-side.js'
