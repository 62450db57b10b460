# Run it with the device and the capability that it needs, in the host's network. It writes only to /run and, to keep its
# MAC address, to /var/lib/udptun-fast:
#   docker run --network host --device /dev/net/tun --cap-drop ALL --cap-add NET_ADMIN --read-only --tmpfs /run \
#     --security-opt no-new-privileges -v udptun-fast:/var/lib/udptun-fast udptun-fast start 10.9.0.1 198.51.100.2
# The kernel's own datapath needs more: --cap-add BPF --cap-add NET_RAW

# Another base must have Node.js and npm, such as node:24-alpine: --build-arg BASE=node:24-alpine
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS build
WORKDIR /build
COPY . .
RUN npm ci --no-audit --no-fund
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${BASE}
WORKDIR /opt/udptun-fast
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist/program dist/program
# So that people type the same commands inside as outside: docker exec <container> udptun-fast peers
RUN ln -s /opt/udptun-fast/dist/program/cli/main.js /usr/local/bin/udptun-fast
ENV NODE_ENV=production
STOPSIGNAL SIGTERM
# Unhealthy: the tunnel does not work, or a peer is down. Where that must not restart it, ask /healthz (--metrics) instead.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["udptun-fast", "status", "--check"]
ENTRYPOINT ["node", "--disable-sigusr1", "/opt/udptun-fast/dist/program/cli/main.js"]
CMD ["--help"]
