{{/* (list . COMPONENT): labels, and the selector of what bears them. */}}
{{- define "holdfast.labels" -}}
{ app.kubernetes.io/name: holdfast, app.kubernetes.io/instance: {{ (first .).Release.Name }}, app.kubernetes.io/component: {{ last . }} }
{{- end }}

{{- define "holdfast.name" -}}
{{ printf "%s" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "holdfast.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* HOLDFAST_REDIS_NODES. The #name stays when an address changes. */}}
{{- define "holdfast.nodes" -}}
{{- if .Values.nodes.enabled -}}
{{- $list := list -}}
{{- range $i := until (int .Values.nodes.count) -}}
{{- $n := add1 $i -}}
{{- $list = append $list (printf "redis://%s-node-%d.%s.svc:6379#node-%d" (include "holdfast.name" $) $n $.Release.Namespace $n) -}}
{{- end -}}
{{ join "," $list }}
{{- else -}}
{{ required "nodes.external: the lock nodes, where nodes.enabled is false" .Values.nodes.external }}
{{- end -}}
{{- end }}

{{/* The ports of nodes.external as JSON. No entry is ever repeated: it may bear a password. */}}
{{- define "holdfast.nodePorts" -}}
{{- $ports := list -}}
{{- range $at, $url := splitList "," (include "holdfast.nodes" .) -}}
{{- $place := regexFind "^(?i:rediss?)://([^@/#]*@)?[^@/#]+" (trim $url) -}}
{{- if not $place -}}
{{- fail (printf "nodes.external: entry %d is not redis://HOST:PORT or rediss://HOST:PORT" (add1 $at)) -}}
{{- end -}}
{{- $port := regexFind ":[0-9]+$" $place | trimPrefix ":" | default "6379" -}}
{{- $ports = append $ports (dict "port" (int $port)) -}}
{{- end -}}
{{ uniq $ports | toJson }}
{{- end }}

{{/* What every replica is told about the lock nodes and the world. */}}
{{- define "holdfast.env" -}}
- { name: HOLDFAST_REDIS_NODES, value: {{ include "holdfast.nodes" . | quote }} }
- { name: HOLDFAST_REDIS_PASSWORD_FILE, value: /run/secrets/holdfast/redis/redis-password }
{{- if .Values.alerts.existingSecret }}
- { name: HOLDFAST_ALERTS, value: /run/secrets/holdfast/alerts/alerts.yaml }
{{- end }}
{{- if .Values.archive.existingSecret }}
- { name: HOLDFAST_ARCHIVE_FILE, value: /run/secrets/holdfast/archive/url }
{{- end }}
{{- if .Values.telemetry.otlpEndpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .Values.telemetry.otlpEndpoint | quote }} }
- { name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio }
- { name: OTEL_TRACES_SAMPLER_ARG, value: {{ .Values.telemetry.sampleRatio | quote }} }
{{- end }}
{{- range $name, $value := .Values.settings }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{- define "holdfast.mounts" -}}
- { name: redis-password, mountPath: /run/secrets/holdfast/redis, readOnly: true }
- { name: state, mountPath: /var/lib/holdfast }
{{- range $part := list "alerts" "archive" }}
{{- if (index $.Values $part).existingSecret }}
- { name: {{ $part }}, mountPath: /run/secrets/holdfast/{{ $part }}, readOnly: true }
{{- end }}
{{- end }}
{{- end }}

{{- define "holdfast.volumes" -}}
- name: redis-password
  secret: { secretName: {{ required "nodes.existingSecret: a Secret with the key redis-password" .Values.nodes.existingSecret }}, defaultMode: 0440 }
# Gone with the pod. Over its limit the pod is evicted, so history has to stay well below it.
- name: state
  emptyDir: { sizeLimit: {{ .Values.state.sizeLimit }} }
{{- range $part := list "alerts" "archive" }}
{{- with (index $.Values $part).existingSecret }}
- name: {{ $part }}
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- end }}
{{- end }}

{{- define "holdfast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/*
The sidecar, for `initContainers` of your own pods: {{ include "holdfast.sidecar" . | nindent 8 }}, beside the
volumes of holdfast.volumes and an emptyDir named holdfast-socket that the worker mounts at /run/holdfast. Both containers run
as one user. With this chart as a dependency of yours the context is .Subcharts.holdfast instead of the dot.
*/}}
{{- define "holdfast.sidecar" -}}
- name: holdfast
  image: {{ include "holdfast.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  # With this an init container is a sidecar: it starts before the worker and is told to end after it.
  restartPolicy: Always
  env:
    - { name: HOLDFAST_LISTEN, value: "unix:/run/holdfast/holdfast.sock" }
    - { name: HOLDFAST_HTTP_LISTEN, value: "127.0.0.1:7421" }
    - { name: HOLDFAST_DRAIN_TIMEOUT, value: "{{ .Values.sidecar.drainSeconds }}s" }
    {{- if not (or .Values.archive.existingSecret (hasKey .Values.settings "HOLDFAST_ARCHIVE") (hasKey .Values.settings "HOLDFAST_ARCHIVE_FILE")) }}
    # A disk that fills up would have the pod evicted, and the worker with it.
    - { name: HOLDFAST_ARCHIVE, value: "off" }
    {{- end }}
    {{- include "holdfast.env" . | nindent 4 }}
  # The worker starts once the socket answers. By command: the kubelet reaches neither socket nor loopback of a pod.
  startupProbe:
    exec: { command: [/opt/holdfast/bin/holdfast, health, --live, --address, "unix:/run/holdfast/holdfast.sock", --timeout, 3s] }
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 30
  livenessProbe:
    # Not plain `health`: a replica without a majority is not mended by a restart.
    exec: { command: [/opt/holdfast/bin/holdfast, health, --live, --address, "unix:/run/holdfast/holdfast.sock", --timeout, 3s] }
    periodSeconds: 20
    timeoutSeconds: 5
  resources:
    {{- toYaml .Values.sidecar.resources | nindent 4 }}
  securityContext:
    runAsUser: {{ .Values.sidecar.uid }}
    {{- include "holdfast.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - { name: holdfast-socket, mountPath: /run/holdfast }
    {{- include "holdfast.mounts" . | nindent 4 }}
{{- end }}
