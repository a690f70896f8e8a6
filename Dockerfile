# The image of logwatch: one static binary, the sample configuration and the license; no
# shell, no C library. hack/image cross-compiles the binaries, then builds this with
# buildah. With docker, first build dist/image/linux-<arch>/logwatch with CGO_ENABLED=0.
FROM scratch
ARG TARGETARCH
COPY dist/image/linux-${TARGETARCH}/logwatch /logwatch
COPY configs/logwatch.yaml /etc/logwatch/logwatch.yaml
COPY LICENSE /licenses/LICENSE
# Root owns the logs and the runtime's socket. No capability is needed.
USER 0:0
ENTRYPOINT ["/logwatch"]
CMD ["run", "--config", "/etc/logwatch/logwatch.yaml"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="logwatch" \
      org.opencontainers.image.description="Rotates Kubernetes containers' logs the moment they reach their limit" \
      org.opencontainers.image.source="https://github.com/logwatch/logwatch" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
