-- A store as it was made before there were revisions, in the words that SQLite and PostgreSQL share.
CREATE TABLE schema_version (id INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (id));
INSERT INTO schema_version VALUES (1, 1);
CREATE TABLE jobs (
	id VARCHAR(40) NOT NULL,
	status VARCHAR(16) NOT NULL,
	spec JSON NOT NULL,
	spec_sha256 VARCHAR(64) NOT NULL,
	run_dir VARCHAR(4096) NOT NULL,
	idempotency_key VARCHAR(255),
	request_sha256 VARCHAR(64) NOT NULL,
	wish VARCHAR(16),
	lease_owner VARCHAR(64),
	lease_until FLOAT,
	created_at FLOAT NOT NULL,
	started_at FLOAT,
	stopping_since FLOAT,
	finished_at FLOAT,
	stage VARCHAR(64),
	progress FLOAT NOT NULL,
	eta_s FLOAT,
	error JSON,
	best_checkpoint INTEGER,
	handle JSON,
	PRIMARY KEY (id),
	UNIQUE (idempotency_key)
);
CREATE INDEX ix_jobs_status ON jobs (status);
INSERT INTO jobs VALUES ('job_01k1cjj3q88zdp96z91mgg', 'running', '{"name": "grpo", "recipe": ["grpo"], "base_model": "/models/m", "train_data": "demo", "dev_data": null, "reward": "execution", "resources": {"nodes": 1, "gpus_per_node": 0, "gpu_memory_gb": null, "cpus": 2, "memory_gb": 8.0, "sharding": "auto"}, "launcher": "local", "seed": 0, "max_steps": 7, "deadline_s": null, "metadata": {"team": "bi"}}', '0000000000000000000000000000000000000000000000000000000000000000', '/srv/runs/job_01k1cjj3q88zdp96z91mgg', 'k', 'a', NULL, 'me', 1795934802.75, 1795934740.25, 1795934742.75, NULL, NULL, NULL, 0.5, NULL, NULL, NULL, '{"pid": 1}');
INSERT INTO jobs VALUES ('job_01k1cjj3qhxkk1wz9sy9ey', 'queued', '{"base_model": "/models/m", "train_data": "demo"}', '0000000000000000000000000000000000000000000000000000000000000000', '/srv/runs/job_01k1cjj3qhxkk1wz9sy9ey', NULL, 'a', NULL, NULL, NULL, 1795934740.5, NULL, NULL, NULL, NULL, 0.0, NULL, NULL, NULL, NULL);
CREATE TABLE answers (
	id VARCHAR(40) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	created_at FLOAT NOT NULL,
	db_id TEXT NOT NULL,
	database_sha256 VARCHAR(64) NOT NULL,
	question TEXT NOT NULL,
	evidence TEXT NOT NULL,
	sql TEXT,
	status VARCHAR(32) NOT NULL,
	model TEXT NOT NULL,
	prompt_sha256 VARCHAR(64) NOT NULL,
	verified_query_id VARCHAR(40),
	follow_up BOOLEAN NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (request_id)
);
CREATE INDEX ix_answers_created_at ON answers (created_at);
INSERT INTO answers VALUES ('an_01k1cjj3r79kmd8eqh21fp', 'r1', 1795934740.25, 'shop', 'aaaa', 'How many?', '', 'SELECT 1', 'ok', 'm', 'bbbb', NULL, FALSE);
CREATE TABLE feedback (
	id VARCHAR(40) NOT NULL,
	answer_id VARCHAR(40) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	number INTEGER NOT NULL,
	db_id VARCHAR(500) NOT NULL,
	question TEXT NOT NULL,
	evidence TEXT NOT NULL,
	answer_sql TEXT,
	rating VARCHAR(16) NOT NULL,
	sql TEXT,
	comment TEXT,
	given_by VARCHAR(64),
	created_at FLOAT NOT NULL,
	verified_query_id VARCHAR(40),
	PRIMARY KEY (id),
	UNIQUE (answer_id, number)
);
CREATE INDEX ix_feedback_db_id ON feedback (db_id);
INSERT INTO feedback VALUES ('fb_01k1cjj3rghg3td8vnwb9w', 'an_01k1cjj3r79kmd8eqh21fp', 'r1', 1, 'shop', 'How many?', '', 'SELECT 1', 'positive', NULL, NULL, NULL, 1795934740.5, 'vq_01k1cjj3rgj120z518zgv3');
CREATE TABLE verified_queries (
	id VARCHAR(40) NOT NULL,
	db_id VARCHAR(500) NOT NULL,
	database_sha256 VARCHAR(64) NOT NULL,
	question TEXT NOT NULL,
	evidence TEXT NOT NULL,
	question_key VARCHAR(64) NOT NULL,
	sql TEXT NOT NULL,
	reads JSON NOT NULL,
	source VARCHAR(16) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	feedback_id VARCHAR(40) NOT NULL,
	verified_by VARCHAR(64),
	verified_at FLOAT NOT NULL,
	withdrawn_by VARCHAR(40),
	PRIMARY KEY (id)
);
CREATE INDEX ix_verified_queries_question_key ON verified_queries (question_key);
CREATE INDEX ix_verified_queries_db_id ON verified_queries (db_id);
INSERT INTO verified_queries VALUES ('vq_01k1cjj3rgj120z518zgv3', 'shop', 'aaaa', 'How many?', '', '3025563e22912b5860749cd3a680156d92d144b565e5f5908374de77cec62ab7', 'SELECT 1', '["t", "t.c"]', 'confirmed', 'r1', 'fb_01k1cjj3rghg3td8vnwb9w', NULL, 1795934740.5, NULL);
