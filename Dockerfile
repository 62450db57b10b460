# Run it with the device and the capabilities that it needs, in the host's network. BPF is only for the kernel's own
# datapath:
#   docker run --rm --network host --device /dev/net/tun --cap-add NET_ADMIN --cap-add BPF udptun-fast start 10.9.0.1 198.51.100.2

FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY . .
RUN npm ci --no-audit --no-fund
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
WORKDIR /opt/udptun-fast
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist/program dist/program
ENV NODE_ENV=production
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "--disable-sigusr1", "/opt/udptun-fast/dist/program/cli/main.js"]
CMD ["--help"]
