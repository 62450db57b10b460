import { readFileSync } from 'node:fs'
import { parse, parseAllDocuments } from 'yaml'

/** What is used of a service in a file for Compose (compose-spec). */
export interface ComposeService {
  readonly image: string
  readonly build: string
  readonly command: readonly string[]
  readonly network_mode: string
  readonly devices: readonly string[]
  readonly cap_drop: readonly string[]
  readonly cap_add: readonly string[]
  readonly security_opt: readonly string[]
  readonly read_only: boolean
  readonly tmpfs: readonly string[]
  readonly volumes: readonly string[]
  readonly restart: string
  readonly stop_grace_period: string
}

export interface ComposeFile {
  readonly name: string
  readonly services: Readonly<Record<string, ComposeService>>
  readonly volumes: Readonly<Record<string, object>>
}

export const COMPOSE_FILE = 'packaging/containers/compose.yaml'
export const DAEMON_SET_FILE = 'packaging/containers/daemonset.yaml'

export function readCompose(file = COMPOSE_FILE): ComposeFile {
  return parse(readFileSync(file, 'utf8'))
}

interface Probe {
  readonly httpGet: { readonly host: string; readonly port: number; readonly path: string }
  readonly periodSeconds: number
  readonly timeoutSeconds: number
  readonly failureThreshold: number
}

/** What is used of a container in a pod. */
export interface PodContainer {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly valueFrom: unknown }[]
  readonly securityContext: {
    readonly runAsUser: number
    readonly privileged: boolean
    readonly allowPrivilegeEscalation: boolean
    readonly readOnlyRootFilesystem: boolean
    readonly seccompProfile: { readonly type: string }
    readonly capabilities: { readonly drop: readonly string[]; readonly add: readonly string[] }
  }
  readonly startupProbe: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
  readonly volumeMounts: readonly {
    readonly name: string
    readonly mountPath: string
    readonly readOnly?: boolean
  }[]
}

export interface PodSpec {
  readonly hostNetwork: boolean
  readonly automountServiceAccountToken: boolean
  readonly containers: readonly PodContainer[]
  readonly volumes: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[]
}

/** The objects in the file for Kubernetes, by their kind. */
export interface KubernetesFile {
  readonly Namespace: {
    readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> }
  }
  readonly ConfigMap: {
    readonly metadata: { readonly name: string }
    readonly data: Readonly<Record<string, string>>
  }
  readonly DaemonSet: {
    readonly metadata: { readonly name: string; readonly namespace: string }
    readonly spec: {
      readonly selector: { readonly matchLabels: object }
      readonly template: { readonly metadata: { readonly labels: object }; readonly spec: PodSpec }
    }
  }
}

/** @throws Error for what is no YAML, and for a key that is there twice */
export function readKubernetes(file = DAEMON_SET_FILE): KubernetesFile {
  const documents = parseAllDocuments(readFileSync(file, 'utf8'), { uniqueKeys: true })
  const objects = [...documents].map((it) => {
    if (it.errors.length > 0) throw it.errors[0]
    return it.toJS()
  })
  return Object.fromEntries(objects.map((it) => [it.kind, it])) as unknown as KubernetesFile
}

/** The flags of `podman run` that give a service of Compose what its file gives it. @param seen instead of its volumes */
export function flagsOfService(service: ComposeService, seen: readonly string[]): string[] {
  return [
    ...service.devices.flatMap((it) => ['--device', it]),
    ...service.cap_drop.flatMap((it) => ['--cap-drop', it]),
    ...service.cap_add.flatMap((it) => ['--cap-add', it]),
    ...service.security_opt.flatMap((it) => ['--security-opt', it]),
    ...(service.read_only ? ['--read-only', '--read-only-tmpfs=false'] : []),
    ...service.tmpfs.flatMap((it) => ['--tmpfs', it]),
    ...seen.flatMap((it) => ['--volume', it]),
  ]
}

/** The same for a container of a pod. */
export function flagsOfContainer({ securityContext }: PodContainer, seen: readonly string[]): string[] {
  const { capabilities, allowPrivilegeEscalation, readOnlyRootFilesystem, runAsUser } = securityContext
  return [
    ...['--user', `${runAsUser}`, '--device', '/dev/net/tun', '--tmpfs', '/run'],
    ...capabilities.drop.flatMap((it) => ['--cap-drop', it]),
    ...capabilities.add.flatMap((it) => ['--cap-add', it]),
    ...(allowPrivilegeEscalation ? [] : ['--security-opt', 'no-new-privileges']),
    ...(readOnlyRootFilesystem ? ['--read-only', '--read-only-tmpfs=false'] : []),
    ...seen.flatMap((it) => ['--volume', it]),
  ]
}
