# The broker and its command line. Redis, PostgreSQL and object storage run elsewhere (compose.yaml).
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY broker broker
COPY projections projections
COPY api api
COPY cli cli
RUN pip install --no-cache-dir --constraint constraints.txt '.[archive]' \
    && useradd --system --no-create-home colonies

USER colonies
EXPOSE 50080
ENTRYPOINT ["colonies"]
CMD ["server", "start"]
