-- Signatures: the vectors that Amazon publishes, of the suite for Signature
-- Version 4 and of the examples for S3.

SELECT fm_test_sigv4('GET', '/', '',
  ARRAY['host:example.amazonaws.com', 'x-amz-date:20150830T123600Z'], '',
  '20150830T123600Z', 'AKIDEXAMPLE',
  'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', 'us-east-1', 'service')
  LIKE '%Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'
  AS get_vanilla;

\set key AKIAIOSFODNN7EXAMPLE
\set secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
\set empty e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

SELECT fm_test_sigv4('GET', '/test.txt', '',
  ARRAY['x-amz-date:20130524T000000Z', 'range:bytes=0-9',
    'x-amz-content-sha256:' || :'empty',
    'host:examplebucket.s3.amazonaws.com'], '',
  '20130524T000000Z', :'key', :'secret', 'us-east-1', 's3') AS get_object;

SELECT fm_test_sigv4('PUT', '/test%24file.text', '',
  ARRAY['host:examplebucket.s3.amazonaws.com',
    'date:Fri, 24 May 2013 00:00:00 GMT', 'x-amz-date:20130524T000000Z',
    'x-amz-storage-class:REDUCED_REDUNDANCY',
    'x-amz-content-sha256:44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072'],
  'Welcome to Amazon S3.',
  '20130524T000000Z', :'key', :'secret', 'us-east-1', 's3')
  LIKE '%Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd'
  AS put_object;

SELECT fm_test_sigv4('GET', '/', 'lifecycle=',
  ARRAY['host:examplebucket.s3.amazonaws.com', 'x-amz-date:20130524T000000Z',
    'x-amz-content-sha256:' || :'empty'], '',
  '20130524T000000Z', :'key', :'secret', 'us-east-1', 's3')
  LIKE '%Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'
  AS get_lifecycle;

SELECT fm_test_sigv4('GET', '/', 'max-keys=2&prefix=J',
  ARRAY['host:examplebucket.s3.amazonaws.com', 'x-amz-date:20130524T000000Z',
    'x-amz-content-sha256:' || :'empty'], '',
  '20130524T000000Z', :'key', :'secret', 'us-east-1', 's3')
  LIKE '%Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'
  AS list_objects;
