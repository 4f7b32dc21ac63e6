-- Servers that a test creates for a directory are put into a bucket: the
-- settings fm_s3.endpoint, fm_s3.bucket, fm_s3.key and fm_s3.secret say where.
CREATE FUNCTION fm_s3_redirect() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  server name;
  location text;
BEGIN
  FOR server, location IN
    SELECT srvname, substr(o, strlen + 1)
    FROM pg_event_trigger_ddl_commands() c
    JOIN pg_foreign_server s ON s.oid = c.objid,
      unnest(srvoptions) o, length('location=file://') strlen
    WHERE c.classid = 'pg_foreign_server'::regclass
      AND o LIKE 'location=file://%'
  LOOP
    EXECUTE format('ALTER SERVER %I OPTIONS (SET location %L, ADD endpoint %L)',
      server,
      's3://' || current_setting('fm_s3.bucket') || '/' || md5(location),
      current_setting('fm_s3.endpoint'));
    EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER %I
      OPTIONS (access_key_id %L, secret_access_key %L)', server,
      current_setting('fm_s3.key'), current_setting('fm_s3.secret'));
  END LOOP;
END $$;
CREATE EVENT TRIGGER fm_s3_redirect ON ddl_command_end
  WHEN TAG IN ('CREATE SERVER') EXECUTE FUNCTION fm_s3_redirect();
